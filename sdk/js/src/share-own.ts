import type { Receipt } from "./outbox.ts";
import { lessEq } from "./serial.ts";
import type { Copy } from "./share-copy.ts";
import type { Change } from "./share-messages.ts";
import { failure } from "./standard.ts";
import type { Data } from "./store.ts";

/** A message of this tab's page that the app has not acknowledged. */
export interface Own {
  readonly number: number;
  /** A Blob waits, with those behind it, until its bytes are here. */
  data: Data | Blob;
  readonly size: number;
  readonly receipt: Receipt | undefined;
  /** Number of the one before it, or 0. */
  readonly behind: number;
  /** Its place in the session's outbox, since a leader took it. */
  position?: number | undefined;
  /** It was given to the present leader. */
  given: boolean;
}

/** The messages of a tab's page, in their order. */
export class OwnMessages {
  /** Bytes of all, and of those that no leader has taken. */
  bytes = 0;
  untaken = 0;
  private readonly tab: string;
  private readonly inOrder = new Map<number, Own>();
  private counted = 0;

  constructor(tab: string) {
    this.tab = tab;
  }

  get count(): number {
    return this.inOrder.size;
  }

  append(data: Data | Blob, size: number, receipt?: Receipt): Own {
    const behind = this.inOrder.has(this.counted) ? this.counted : 0;
    const own: Own = { number: ++this.counted, data, size, receipt, behind, given: false };
    this.inOrder.set(own.number, own);
    this.bytes += size;
    this.untaken += size;
    return own;
  }

  /** Returns what is to be given to the leader next, in order. */
  *toGive(): Generator<Own & { data: Data }> {
    // Those that were given are in front: the last one was given last.
    for (let number = this.firstNotGiven(); number <= this.counted; number++) {
      const own = this.inOrder.get(number);
      if (own?.data instanceof Blob) {
        return;
      }
      if (own) {
        own.given = true;
        yield own as Own & { data: Data };
      }
    }
  }

  private firstNotGiven(): number {
    let number = this.counted;
    while (this.inOrder.get(number)?.given === false) {
      number--;
    }
    return number + 1;
  }

  /** Notes what a leader has done. */
  changed(change: Change, acked: number | undefined): void {
    if (change.kind === "put" && change.item.tab === this.tab) {
      this.took(this.inOrder.get(change.item.number), change.item.position);
    } else if (change.kind === "sent" && change.tab === this.tab) {
      this.resolve(this.inOrder.get(change.number));
    } else if (change.kind === "save") {
      this.acknowledged(acked!);
    }
  }

  /** Compares with what another leader knows. What it does not have is to be given again. */
  compare({ items, taken }: Copy): void {
    const places = new Map<number, number>();
    for (const { tab, number, position } of items.values()) {
      if (tab === this.tab) {
        places.set(number, position);
      }
    }
    for (const own of [...this.inOrder.values()]) {
      const position = places.get(own.number);
      if (own.number > (taken[this.tab] ?? 0)) {
        this.untaken += own.position === undefined ? 0 : own.size;
        own.position = undefined;
        own.given = false;
      } else if (position === undefined) {
        this.resolve(own); // acknowledged meanwhile
      } else {
        this.took(own, position);
      }
    }
  }

  /** Notes that a message was given up. */
  reject(number: number, code: number): void {
    const own = this.inOrder.get(number);
    own?.receipt?.reject(failure("DataError", `rejected with ${code}`));
    this.remove(own);
  }

  /** Empties it: the session is over. Rejects the receipts, and returns what was not acknowledged. */
  fail(why: string): { data: Data | Blob; sent: boolean }[] {
    const left = [...this.inOrder.values()];
    this.inOrder.clear();
    this.bytes = this.untaken = 0;
    return left.map(({ data, receipt, position }) => {
      receipt?.reject(failure("AbortError", `session ${why}`));
      return { data, sent: position !== undefined };
    });
  }

  private took(own: Own | undefined, position: number): void {
    if (own) {
      this.untaken -= own.position === undefined ? own.size : 0;
      own.given = true;
      own.position = position;
    }
  }

  private acknowledged(acked: number): void {
    for (const own of this.inOrder.values()) {
      if (own.position === undefined || !lessEq(own.position, acked)) {
        break;
      }
      this.resolve(own);
    }
  }

  private resolve(own: Own | undefined): void {
    own?.receipt?.resolve();
    this.remove(own);
  }

  private remove(own: Own | undefined): void {
    if (own) {
      this.inOrder.delete(own.number);
      this.bytes -= own.size;
      this.untaken -= own.position === undefined ? own.size : 0;
    }
  }
}
