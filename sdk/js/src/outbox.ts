import type { Unacknowledged } from "./events.ts";
import { Fifo } from "./fifo.ts";
import { add, distance, less, lessEq } from "./serial.ts";
import type { Data } from "./store.ts";
import { SKIPPED } from "./wire.ts";

/** What a message counts in the sidecar's window besides its payload (PROTOCOL §5.3). */
const MESSAGE_OVERHEAD = 16;

/** The promise of `deliver`. */
export interface Receipt {
  resolve(): void;
  reject(reason: Error): void;
}

export interface Entry {
  position: number;
  /** As the page sent it; a Blob waits, with those behind it, until its bytes are here. Null: it was given up. */
  data: Data | Blob | null;
  size: number;
  receipt: Receipt | undefined;
}

/**
 * The messages that the sidecar has not acknowledged.
 *
 * Positions inside are its own. A sidecar that adopted the session may count differently (PROTOCOL §8.3);
 * `shift` is what to add for the number on the wire.
 */
export class Outbox {
  /** Bytes of all that is not acknowledged. */
  bytes = 0;
  /** Bytes of what was never given to a transport. */
  queued = 0;
  /** Bytes that may be in flight, each message counted with its overhead. */
  limit = 0;
  shift = 0;
  /** Position of the last message. */
  head = 0;
  acked = 0;
  /** Something was sent whose acknowledgement somebody waits for, and nothing that asks for it. */
  asks = false;
  /** Position of the last message that the page before a reload may have sent. */
  inherited = 0;
  /** Position of the last message that was set aside, until the disk has heard of it. */
  skipped: number | undefined;
  /**
   * A message may be what the peer, or something on the way, refuses (PROTOCOL §9.1): up to this position only
   * one is under way at a time.
   */
  #suspects = 0;
  /** Position of the message that was alone under way when a connection was refused with `#code`; 0: none was. */
  #accused = 0;
  #code = 0;
  /** Position of the last message that was sent on this connection. */
  #sent = 0;
  /** The same on any connection. */
  #highest = 0;
  /**
   * In order of their positions, which count up by one: first `inFlight` entries that were sent on this
   * connection and are not acknowledged, then those to be sent. After a resume with early data the sidecar may
   * acknowledge what was not yet sent on this connection, and that must still be sent (PROTOCOL §8.2).
   */
  readonly #entries = new Fifo<Entry>();
  #inFlight = 0;
  /** What those cost in the sidecar's window. */
  #flightBytes = 0;

  /** Counts the messages from another position: a session starts. */
  rebase(position: number, limit: number): void {
    this.head = this.acked = this.#sent = this.#highest = this.inherited = this.#suspects = position;
    this.shift = this.#code = 0;
    this.limit = limit;
    for (const entry of this.#entries.rest()) {
      entry.position = this.head = add(this.head, 1);
    }
  }

  /** Whether every message was given to this connection. */
  get idle(): boolean {
    return this.#inFlight === this.#entries.length;
  }

  /** How many messages wait for an acknowledgement. */
  get unacked(): number {
    return distance(this.acked, this.head);
  }

  /** Whether only one message may be under way: one of several has ended a connection, and it is not known which. */
  get oneByOne(): boolean {
    return less(this.acked, this.#suspects);
  }

  /** The number on the wire of the last message that was sent on this connection. */
  get sentSeq(): number {
    return add(this.#sent, this.shift);
  }

  /** The number on the wire of the first message that is not acknowledged. */
  get nextSeq(): number {
    return add(this.acked, this.shift + 1);
  }

  /** Appends a message. */
  push(data: Data | Blob | null, size: number, receipt?: Receipt): Entry {
    const entry = { position: (this.head = add(this.head, 1)), data, size, receipt };
    this.#entries.push(entry);
    this.bytes += size;
    this.queued += size;
    return entry;
  }

  /** Starts a connection whose peer has what is up to `position`, which the page before a reload may have sent. */
  restart(position: number): void {
    this.#acknowledge(position);
    this.#inFlight = this.#flightBytes = 0;
    for (let entry: Entry | undefined; (entry = this.#upTo(position)); ) {
      this.#entries.drop();
      this.queued -= this.hasSent(entry.position) ? 0 : entry.size;
    }
    this.#sent = position;
    this.#highest = later(this.#highest, position);
    this.head = later(this.head, position);
  }

  /** Whether this page may have sent everything up to `position`. */
  hasSent(position: number): boolean {
    return lessEq(position, this.#highest);
  }

  /** Handles that a connection ended with a code that refuses a message. */
  refused(code: number): void {
    if (this.oneByOne) {
      this.#accused = this.#sent;
      this.#code = less(this.acked, this.#sent) ? code : 0;
    } else {
      this.#suspects = later(this.acked, this.#sent);
    }
  }

  /**
   * Sets the accused message aside, unless it is acknowledged; SKIPPED has its place. Returns what was refused
   * and the code. Nothing was sent yet on this connection.
   */
  reject(): { data: Data; code: number } | undefined {
    const entry = this.#entries.peek();
    const code = this.#code;
    this.#code = 0;
    if (!code || entry?.position !== this.#accused) {
      return;
    }
    const { data, receipt } = entry;
    receipt?.reject(new DOMException(`wsresilience: deliver: rejected with ${code}`, "DataError"));
    this.bytes += SKIPPED.length - entry.size;
    entry.size = SKIPPED.length;
    entry.data = null;
    entry.receipt = undefined;
    this.skipped = entry.position;
    return { data: data as Data, code };
  }

  /** Handles an acknowledgement, `seq` being the number on the wire; false: that was not sent. */
  ack(seq: number): boolean {
    const position = add(seq, -this.shift);
    if (!this.hasSent(position)) {
      return false;
    }
    this.#acknowledge(position);
    for (let entry: Entry | undefined; this.#inFlight && (entry = this.#upTo(position)); ) {
      this.#entries.drop();
      this.#inFlight--;
      this.#flightBytes -= entry.size + MESSAGE_OVERHEAD;
    }
    return true;
  }

  /** Returns the next message for this connection, if the sidecar's window has room; one may always be sent (§5.3). */
  take(): Data | null {
    const entry = this.#entries.peek(this.#inFlight);
    if (!entry || entry.data instanceof Blob) {
      return null;
    }
    if (lessEq(entry.position, this.acked)) {
      this.#entries.drop();
    } else {
      const bytes = this.#flightBytes + entry.size + MESSAGE_OVERHEAD;
      if (this.#inFlight && (this.oneByOne || bytes > this.limit)) {
        return null;
      }
      this.#inFlight++;
      this.#flightBytes = bytes;
    }
    this.asks ||= !!entry.receipt;
    this.#sent = entry.position;
    if (less(this.#highest, this.#sent)) {
      this.#highest = this.#sent;
      this.queued -= entry.size;
    }
    return entry.data ?? SKIPPED;
  }

  /** Empties it: the session is over. Rejects the receipts, and returns what was not acknowledged. */
  fail(why: string): Unacknowledged[] {
    const left = this.#entries.rest().filter(({ position }) => less(this.acked, position));
    this.#entries.clear();
    this.bytes = this.queued = this.#inFlight = this.#flightBytes = 0;
    return left.flatMap(({ position, data, receipt }) => {
      receipt?.reject(new DOMException(`wsresilience: deliver: session ${why}`, "AbortError"));
      return data === null ? [] : { data, sent: lessEq(position, later(this.#highest, this.inherited)) };
    });
  }

  /** Returns the nth entry from the front, if it is among those up to `position`. */
  #upTo(position: number, n?: number): Entry | undefined {
    const entry = this.#entries.peek(n);
    return entry && lessEq(entry.position, position) ? entry : undefined;
  }

  /** Notes that what is up to `position` is acknowledged, and resolves the receipts. */
  #acknowledge(position: number): void {
    for (let n = 0, entry: Entry | undefined; (entry = this.#upTo(position, n)); n++) {
      if (less(this.acked, entry.position)) {
        this.bytes -= entry.size;
        entry.receipt?.resolve();
      }
    }
    this.acked = later(this.acked, position);
    this.#suspects = later(this.#suspects, this.acked);
  }
}

/** Returns the later of two positions. */
function later(a: number, b: number): number {
  return less(a, b) ? b : a;
}
