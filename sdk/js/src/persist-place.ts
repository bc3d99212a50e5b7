import { failure, type Place, rowsOf, type Tables, transact } from "./persist-database.ts";
import { add, less } from "./serial.ts";
import type { Restored, Saved, SavedMessage, Store } from "./store.ts";

/** A place that is this tab's. */
export interface Claim {
  readonly db: IDBDatabase;
  readonly place: Place;
  readonly restored: Restored | null;
  /** There is no lock: what stands in the place says whether it still is ours. */
  readonly unlocked: boolean;
  /** Lets others have it. */
  release(): void;
}

type Write = (tables: Tables) => void;

/** What a tab keeps in its place. */
export class PlaceStore implements Store {
  readonly restored: Restored | null;
  readonly #claim: Claim;
  #place: Place;
  #queue: Write[] = [];
  /** The transaction that will take what is queued. */
  #next: Promise<void> | null = null;
  #failed: Error | null = null;

  constructor(claim: Claim) {
    this.#claim = claim;
    this.#place = claim.place;
    this.restored = claim.restored;
  }

  put(message: SavedMessage): void {
    const row = { place: this.#place.id, ...message };
    this.#write(({ messages }) => messages.put(row)).catch(() => {}); // `save` rejects
  }

  save(saved: Saved): Promise<void> {
    const { id, saved: before } = this.#place;
    return this.#update(saved, (messages) => {
      if (before && less(before.acked, saved.acked)) {
        for (const range of ranges(id, add(before.acked, 1), saved.acked)) {
          messages.delete(range);
        }
      }
    });
  }

  clear(): void {
    this.#update(null, (messages) => messages.delete(rowsOf(this.#place.id))).catch(() => {});
  }

  async close(): Promise<void> {
    const { name, id, saved } = this.#place;
    if (saved && saved === this.#claim.place.saved) {
      // This life never got as far as the session that it found: that stays for the next one.
      this.leave();
    } else {
      const forget: Write = ({ places, messages }) => {
        places.delete([name, id]);
        messages.delete(rowsOf(id));
      };
      await this.#write(forget).catch(() => {}); // what cannot be deleted expires
    }
    this.#failed ??= failure("closed");
    this.#claim.db.close();
    this.#claim.release();
  }

  /** Says that the owner is alive. */
  touch(): void {
    this.#update(this.#place.saved, () => {}).catch(() => {});
  }

  /**
   * Where there is no lock: says that the page goes away, so that the next one need not wait until it looks
   * dead. Nothing of it runs after this, so it cannot look whether the place still is ours; it says who left,
   * in a row of the owner's own.
   */
  leave(): void {
    const { db, place, unlocked: guarded } = this.#claim;
    if (!guarded) {
      return;
    }
    transact(db, ({ messages, commit }) => {
      messages.put({ place: place.owner, position: 0, data: "" });
      commit();
    }).catch(() => {});
  }

  #update(saved: Saved | null, forget: (messages: IDBObjectStore) => void): Promise<void> {
    const place = (this.#place = { ...this.#place, touched: Date.now(), saved });
    return this.#write(({ places, messages }) => {
      places.put(place);
      forget(messages);
    });
  }

  /**
   * Queues a write. All that one task has queued is one transaction, which begins when the task ends and does
   * not wait for those before it: the browser has it then, and a tab that crashes loses nothing.
   */
  #write(write: Write): Promise<void> {
    if (this.#failed) {
      return Promise.reject(this.#failed);
    }
    this.#queue.push(write);
    this.#next ??= Promise.resolve().then(() => this.#flush());
    return this.#next;
  }

  async #flush(): Promise<void> {
    const writes = this.#queue;
    this.#queue = [];
    this.#next = null;
    try {
      await this.#transact(writes);
    } catch (error) {
      this.#fail(error);
    }
    // Of transactions that were under way together, one may have failed and the next succeeded.
    if (this.#failed) {
      throw this.#failed;
    }
  }

  #transact(writes: readonly Write[]): Promise<void> {
    const { db, place, unlocked: guarded } = this.#claim;
    return transact(db, (tables) => {
      const all = () => {
        for (const write of writes) {
          write(tables);
        }
        tables.commit();
      };
      if (!guarded) {
        all();
        return;
      }
      tables.find(place, (found) => {
        if (found?.owner !== place.owner) {
          throw new Error("another tab took the place, since this one seemed dead");
        }
        all();
      });
    });
  }

  /**
   * Takes nothing more. What is on disk falls behind from here on, and a later life must not go on with it: it
   * would ask for messages that the sidecar has forgotten. So it is deleted, which mostly works on a full disk.
   */
  #fail(error: unknown): void {
    if (!this.#failed) {
      this.#failed = failure("the disk does not keep the session any more", error);
      const { id } = this.#place;
      const place = { ...this.#place, saved: null };
      const forget: Write = ({ places, messages }) => {
        messages.delete(rowsOf(id));
        places.put(place);
      };
      this.#transact([forget]).catch(() => {});
    }
  }
}

/** The keys of the messages `from` to `to`, which go on at 0 after 2^32 - 1. */
function ranges(id: string, from: number, to: number): IDBKeyRange[] {
  return from <= to ? [rowsOf(id, from, to)] : [rowsOf(id, from), rowsOf(id, 0, to)];
}
