import type { Fate } from "./options.ts";
import type { Receipt } from "./outbox.ts";
import { failure } from "./standard.ts";

/** What hears what became of a message with a key. */
export interface Told {
  resolve(fate: Fate): void;
  reject(reason: Error): void;
}

/** All that wait, in the order in which the messages were sent. */
export class Waits {
  readonly all = new Set<Wait>();
  /** Whose session is over: whether another one takes them is decided with the event that says so. */
  over: Wait[] = [];

  /** Tells those that nobody knows what became of their messages. */
  giveUp(waits: Iterable<Wait> = this.all): void {
    for (const wait of waits) {
      wait.fail(failure("AbortError", "it is not known what became of it"));
    }
  }

  /** Those whose messages the sidecar has. */
  get acked(): Wait[] {
    return [...this.all].filter(({ isAcked }) => isAcked);
  }
}

/** A message with a key whose outcome has not come. */
export class Wait implements Receipt {
  readonly key: string;
  /** It travelled with its key the last time. */
  withKey = false;
  /** The app's sidecar has it. */
  isAcked = false;
  private readonly waits: Waits;
  private readonly told: Told;

  constructor(key: string, waits: Waits, told: Told) {
    this.key = key;
    this.waits = waits;
    this.told = told;
    waits.all.add(this);
  }

  /** Handles that the message was acknowledged. */
  resolve(): void {
    this.isAcked = true;
    if (!this.withKey) {
      this.fail(failure("NotSupportedError", "delivered without its key: keys are not taken"));
    }
  }

  /** Handles that it was given up, or that the session is over. */
  reject(reason: Error): void {
    if (reason.name === "AbortError") {
      this.waits.over.push(this);
    } else {
      this.fail(reason);
    }
  }

  fail(reason: Error): void {
    this.waits.all.delete(this);
    this.told.reject(reason);
  }

  tell(fate: Fate): void {
    this.waits.all.delete(this);
    this.told.resolve(fate);
  }
}
