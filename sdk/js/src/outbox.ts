import type { Unacknowledged } from "./events.ts";
import { Fifo } from "./fifo.ts";
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
  position: number;
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
  /** Last message. */
  head = 0;
  acked = 0;
  /** Last one that a former life of the page may have sent. */
  inherited = 0;
  /** Last one on this connection. */
  private sent = 0;
  /** Last one on any connection. */
  private highest = 0;
  /** Sent on this connection and not acknowledged, and what those cost in the window. */
  private flying = new Fifo<Entry>();
  private flight = 0;
  /** To be sent on this connection; also what is acknowledged and was announced there (PROTOCOL §8.2). */
  private waiting = new Fifo<Entry>();

  /** Counts what waits from another position: a session begins. */
  rebase(position: number, limit: number): void {
    this.head = this.acked = this.sent = this.highest = this.inherited = position;
    this.shift = 0;
    this.limit = limit;
    for (const entry of this.waiting.rest()) {
      entry.position = this.head = add(this.head, 1);
    }
  }

  /** Whether every message was given to this connection. */
  get idle(): boolean {
    return !this.waiting.length;
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
    const entry = { position: (this.head = add(this.head, 1)), data, size, receipt };
    this.waiting.push(entry);
    this.bytes += size;
    this.queued += size;
    return entry;
  }

  /** Begins a connection whose peer has what is up to `position`, which a former life of the page may have sent. */
  restart(position: number): void {
    this.waiting = new Fifo(this.entries());
    this.flying = new Fifo();
    this.flight = 0;
    this.settle(position);
    for (
      let entry = this.waiting.peek();
      entry && lessEq(entry.position, position);
      entry = this.waiting.peek()
    ) {
      this.waiting.drop();
      this.queued -= this.hasSent(entry.position) ? 0 : entry.size;
    }
    this.sent = position;
    this.highest = later(this.highest, position);
    this.head = later(this.head, position);
  }

  /** Whether everything up to `position` may have been sent by us. */
  hasSent(position: number): boolean {
    return lessEq(position, this.highest);
  }

  /** Takes an acknowledgement in the wire's numbers; false says that it is of what was not sent. */
  ack(seq: number): boolean {
    const position = add(seq, -this.shift);
    if (!this.hasSent(position)) {
      return false;
    }
    this.settle(position);
    for (
      let entry = this.flying.peek();
      entry && lessEq(entry.position, position);
      entry = this.flying.peek()
    ) {
      this.flying.drop();
      this.flight -= entry.size + MESSAGE_OVERHEAD;
    }
    return true;
  }

  /** Returns the next message for this connection, if the sidecar's window has room; one may always fly (§5.3). */
  take(): Data | null {
    const entry = this.waiting.peek();
    if (!entry || entry.data instanceof Blob) {
      return null;
    }
    const acked = lessEq(entry.position, this.acked);
    const flight = this.flight + entry.size + MESSAGE_OVERHEAD;
    if (!acked) {
      if (this.flight && flight > this.limit) {
        return null;
      }
      this.flight = flight;
      this.flying.push(entry);
    }
    this.waiting.drop();
    this.sent = entry.position;
    if (less(this.highest, this.sent)) {
      this.highest = this.sent;
      this.queued -= entry.size;
    }
    return entry.data;
  }

  /** Empties it: the session is over. Returns what was not acknowledged, and tells those who wait for it. */
  fail(why: string): Unacknowledged[] {
    const left = this.entries().filter(({ position }) => less(this.acked, position));
    this.flying = new Fifo();
    this.waiting = new Fifo();
    this.bytes = this.queued = this.flight = 0;
    return left.map(({ position, data, receipt }) => {
      receipt?.reject(new DOMException(`wsresilience: deliver: session ${why}`, "AbortError"));
      return { data, sent: lessEq(position, later(this.highest, this.inherited)) };
    });
  }

  private entries(): Entry[] {
    return this.flying.rest().concat(this.waiting.rest());
  }

  /** Notes that what is up to `position` is acknowledged. */
  private settle(position: number): void {
    for (const list of [this.flying, this.waiting]) {
      for (
        let i = 0, entry = list.peek();
        entry && lessEq(entry.position, position);
        entry = list.peek(++i)
      ) {
        if (less(this.acked, entry.position)) {
          this.bytes -= entry.size;
          entry.receipt?.resolve();
        }
      }
    }
    this.acked = later(this.acked, position);
  }
}

function later(a: number, b: number): number {
  return less(a, b) ? b : a;
}
