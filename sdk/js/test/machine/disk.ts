import { add } from "../../src/serial.ts";
import { type Data, type Restored, type Saved, type SavedMessage, UNSAVED_DIALS } from "../../src/store.ts";
import type { Chance } from "./chance.ts";

type Write = SavedMessage | Saved;

/** A disk that takes writes in their order and some time later, and says so of those that save the state. */
export class Disk {
  private readonly written: Write[] = [];
  private readonly pending: Write[] = [];

  put(position: number, data: Data): void {
    this.pending.push({ position, data });
  }

  save(saved: Saved): void {
    this.pending.push(saved);
  }

  /** Writes up to n times. Returns the state that was saved last, if any was. */
  work(n: number): Saved | undefined {
    const done = this.pending.splice(0, n);
    this.written.push(...done);
    return done.filter(isSaved).at(-1);
  }

  /** Whether there is a session to go on with. */
  get begun(): boolean {
    return this.written.some(isSaved);
  }

  /** The page goes away. Some of what is pending is still written, and its successor finds what there is. */
  reload(chance: Chance): Restored {
    this.work(chance.below(this.pending.length + 1));
    this.pending.length = 0;
    const saved = this.written.filter(isSaved).at(-1)!;
    // What is acknowledged was forgotten, and with positions that count up by one the rest is found by them.
    const messages = new Map<number, SavedMessage>();
    for (const write of this.written) {
      if ("position" in write) {
        messages.set(write.position, write);
      }
    }
    const left: SavedMessage[] = [];
    for (let kept: SavedMessage | undefined; (kept = messages.get(add(saved.acked, left.length + 1))); ) {
      left.push(kept);
    }
    this.written.length = 0;
    this.written.push(...left, { ...saved, dials: saved.dials + UNSAVED_DIALS });
    return { saved, messages: left };
  }
}

function isSaved(write: Write): write is Saved {
  return "token" in write;
}
