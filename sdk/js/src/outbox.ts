import type { Unacknowledged } from "./events.ts";
import { add, distance, less, lessEq } from "./serial.ts";
import type { Data } from "./store.ts";

/** What a message counts in the sidecar's window besides its payload (PROTOCOL §5.3). */
const MESSAGE_OVERHEAD = 16;

/** Whom to tell what became of a message. */
export interface Receipt {
  resolve(): void;
  reject(reason: Error): void;
}

export interface Entry {
  /** As the page sent it; a Blob waits, with those behind it, until its bytes are here. */
  data: Data | Blob;
  readonly size: number;
  readonly receipt: Receipt | undefined;
}

/**
 * The messages that the sidecar has not acknowledged.
 *
 * Positions inside are its own. A sidecar that adopted the session may count differently (PROTOCOL §8.3);
 * `shift` is what to add for the wire.
 */
export class Outbox {
  /** Bytes of all that is not acknowledged. */
  bytes = 0;
  /** Bytes of what was never given to a transport. */
  queued = 0;
  /** Bytes that may be under way, each message counted with its overhead. */
  limit = 0;
  shift = 0;

  /** Can be ahead of `sent`: what was acknowledged must nevertheless be sent where it was announced (§8.2). */
  acked = 0;
  /** Last one on this connection. */
  private sent = 0;
  /** Last one on any connection. */
  private highest = 0;
  /** The position before the first entry: the lower one of `acked` and `sent`. */
  private base = 0;
  /** Cost of what is sent here and not acknowledged. */
  private flight = 0;
  private entries: Entry[] = [];

  /** Counts what was not sent yet from another position: a session begins. */
  rebase(position: number, limit: number): void {
    this.acked = this.sent = this.highest = this.base = position;
    this.shift = this.flight = 0;
    this.limit = limit;
  }

  /** Position of the last message. */
  get head(): number {
    return add(this.base, this.entries.length);
  }

  /** Whether every message was given to this connection. */
  get idle(): boolean {
    return this.sent === this.head;
  }

  /** How many messages wait for an acknowledgement. */
  get unacked(): number {
    return distance(this.acked, this.head);
  }

  /** The wire's number of the last message on this connection. */
  get sentSeq(): number {
    return add(this.sent, this.shift);
  }

  /** The wire's number of the first message that is not acknowledged. */
  get nextSeq(): number {
    return add(this.acked, this.shift + 1);
  }

  /** Appends a message. */
  push(data: Data | Blob, size: number, receipt?: Receipt): Entry {
    const entry = { data, size, receipt };
    this.entries.push(entry);
    this.bytes += size;
    this.queued += size;
    return entry;
  }

  /** Begins a connection whose peer has what is up to `position`, which may have been sent by a former life. */
  restart(position: number): void {
    this.settle(position);
    this.drop(position);
    this.base = this.sent = position;
    this.flight = 0;
    if (less(this.highest, position)) {
      this.highest = position;
    }
  }

  /** Whether everything up to `position` may have been sent by us. */
  hasSent(position: number): boolean {
    return lessEq(position, this.highest);
  }

  /** Takes an acknowledgement in the wire's numbers; false says that it is of what was not sent. */
  ack(seq: number): boolean {
    const position = add(seq, -this.shift);
    if (lessEq(position, this.acked)) {
      return true;
    }
    if (!this.hasSent(position)) {
      return false;
    }
    this.settle(position);
    this.drop(less(this.sent, position) ? this.sent : position);
    return true;
  }

  /** Returns the next message for this connection, if the sidecar's window has room; one may always fly (§5.3). */
  take(): Data | null {
    const position = add(this.sent, 1);
    const entry = this.at(position);
    if (!entry || entry.data instanceof Blob) {
      return null;
    }
    const cost = lessEq(position, this.acked) ? 0 : entry.size + MESSAGE_OVERHEAD;
    if (this.flight > 0 && this.flight + cost > this.limit) {
      return null;
    }
    this.sent = position;
    this.flight += cost;
    if (less(this.highest, position)) {
      this.highest = position;
      this.queued -= entry.size;
    }
    if (cost === 0) {
      this.drop(position);
    }
    return entry.data;
  }

  /** Empties it: the session is over. Returns what was not acknowledged, and tells those who wait for it. */
  fail(why: string): Unacknowledged[] {
    const left: Unacknowledged[] = [];
    let position = this.base;
    for (const { data, receipt } of this.entries) {
      position = add(position, 1);
      if (less(this.acked, position)) {
        receipt?.reject(new DOMException(`wsresilience: deliver: session ${why}`, "AbortError"));
        left.push({ data, sent: this.hasSent(position) });
      }
    }
    this.entries = [];
    this.bytes = this.queued = 0;
    return left;
  }

  private at(position: number): Entry | undefined {
    return this.entries[distance(this.base, position) - 1];
  }

  private settle(position: number): void {
    while (less(this.acked, position) && this.acked !== this.head) {
      this.acked = add(this.acked, 1);
      const { size, receipt } = this.at(this.acked) as Entry;
      this.bytes -= size;
      if (lessEq(this.acked, this.sent)) {
        this.flight -= size + MESSAGE_OVERHEAD;
      }
      if (less(this.highest, this.acked)) {
        this.queued -= size;
      }
      receipt?.resolve();
    }
    if (less(this.acked, position)) {
      this.acked = position;
    }
  }

  private drop(position: number): void {
    const n = distance(this.base, position);
    if (n > 0 && lessEq(this.base, position)) {
      this.entries.splice(0, n);
      this.base = position;
    }
  }
}
