import type { Unacknowledged } from "./events.ts";
import { add, distance, less, lessEq } from "./serial.ts";
import { failure } from "./standard.ts";
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
  pos: number;
  /** As the page sent it; a Blob waits, with those behind it, until its bytes are here. Null: it was given up. */
  data: Data | Blob | null;
  charge: number;
  receipt: Receipt | undefined;
  /** It was sent while the page restored the app's context, and so as a part of that. */
  early: boolean;
}

/**
 * The messages that the sidecar has not acknowledged.
 *
 * Positions inside are its own. A sidecar that adopted the session may count differently (PROTOCOL §8.3);
 * `wireShift` is what to add for the number on the wire.
 */
export class Outbox {
  /** Bytes of all that is not acknowledged. */
  unackedBytes = 0;
  /** Bytes of what was never given to a transport. */
  queued = 0;
  /** Bytes that may be in flight, each message counted with its overhead. */
  limit = 0;
  wireShift = 0;
  /** Position of the last message. */
  lastPos = 0;
  ackedTo = 0;
  /** Something was sent whose acknowledgement somebody waits for, and nothing that asks for it. */
  asks = false;
  /** Position of the last message that the page before a reload may have sent. */
  inherited = 0;
  /** Position of the last message that was set aside, until the disk has heard of it. */
  skippedPos: number | undefined;
  /** Position of the last message that may be sent, while what follows waits for the app's context to be restored. */
  last: number | null = null;
  /** What the page has restored the app's context with since `hold`. */
  private readonly said = new Set<string>();
  /**
   * A message may be what the peer, or something on the way, refuses (PROTOCOL §9.1): up to this position only
   * one is under way at a time.
   */
  private suspects = 0;
  /** Position of the message that was alone under way when a connection was refused with `accusedCode`; 0: none was. */
  private accused = 0;
  private accusedCode = 0;
  /** What `take` returned last. */
  taken: Entry | undefined;
  /** Position of the last message that was sent on this connection. */
  private sentTo = 0;
  /** The same on any connection. */
  private highest = 0;
  /**
   * In order of their positions, which count up by one: first `inFlight` entries that were sent on this
   * connection and are not acknowledged, then those to be sent. After a resume with early data the sidecar may
   * acknowledge what was not yet sent on this connection, and that must still be sent (PROTOCOL §8.2).
   */
  readonly entryAt = new Map<number, Entry>();
  private inFlight = 0;
  /** What those cost in the sidecar's window. */
  private flightBytes = 0;

  /** Counts the messages from another position: a session starts. */
  rebase(position: number, limit: number): void {
    this.lastPos = this.ackedTo = this.sentTo = this.highest = this.inherited = this.suspects = position;
    this.wireShift = this.accusedCode = 0;
    this.limit = limit;
    const all = this.inOrder;
    this.entryAt.clear();
    this.addEntries(all);
  }

  /** Appends entries; those that have a place behind the last one are moved. */
  private addEntries(entries: Entry[]): void {
    for (const entry of entries) {
      entry.pos = this.lastPos = add(this.lastPos, 1);
      this.entryAt.set(entry.pos, entry);
    }
  }

  private get inOrder(): Entry[] {
    return [...this.entryAt.values()];
  }

  /** Returns the nth entry from the front, if there is one. */
  private peek(n = 0): Entry | undefined {
    const [first] = this.entryAt.keys();
    return this.entryAt.get(add(first!, n));
  }

  /** Holds back what was not sent on this connection, until `last` is null again. */
  hold(): void {
    this.last = this.sentTo;
    this.said.clear();
  }

  /** Notes that a message goes out as a part of what restores the app's context, and returns it. */
  sayAhead({ data, receipt }: Pick<Entry, "data" | "receipt">): Data {
    this.said.add(`${data}`);
    receipt?.resolve();
    return data as Data;
  }

  /** Whether every message was given to this connection. */
  get idle(): boolean {
    return this.inFlight === this.entryAt.size;
  }

  /** How many messages wait for an acknowledgement. */
  get unacked(): number {
    return distance(this.ackedTo, this.lastPos);
  }

  /** Whether only one message may be under way: one of several has ended a connection, and it is not known which. */
  get oneByOne(): boolean {
    return less(this.ackedTo, this.suspects);
  }

  /** The number on the wire of the last message that was sent on this connection. */
  get sentSeq(): number {
    return add(this.sentTo, this.wireShift);
  }

  /** The number on the wire of the first message that is not acknowledged. */
  get nextSeq(): number {
    return add(this.ackedTo, this.wireShift + 1);
  }

  /**
   * Appends a message; `ahead`: in front of what is held back. Returns its entry, and those that have other places
   * now.
   */
  push(
    data: Data | Blob | null,
    size: number,
    receipt?: Receipt,
    early = false,
    ahead = false,
  ): [Entry, ...Entry[]] {
    const entries: [Entry, ...Entry[]] = [{ pos: 0, data, charge: size, receipt, early }];
    const { last } = this;
    if (ahead && last !== null) {
      entries.push(...this.inOrder.filter(({ pos }) => less(last, pos)));
      this.lastPos = last;
      this.last = add(last, 1);
    }
    this.addEntries(entries);
    this.unackedBytes += size;
    this.queued += size;
    return entries;
  }

  /** Starts a connection whose peer has what is up to `position`, which the page before a reload may have sent. */
  restart(position: number): void {
    this.noteAcked(position);
    this.inFlight = this.flightBytes = 0;
    for (let entry: Entry | false | undefined; (entry = this.upTo(position)); ) {
      this.entryAt.delete(entry.pos);
      this.queued -= this.hasSent(entry.pos) ? 0 : entry.charge;
    }
    this.sentTo = position;
    this.highest = later(this.highest, position);
    this.lastPos = later(this.lastPos, position);
  }

  /** Whether this page may have sent everything up to `position`. */
  hasSent(position: number): boolean {
    return lessEq(position, this.highest);
  }

  /** Handles that a connection ended with a code that refuses a message. */
  refused(code: number): void {
    if (this.oneByOne) {
      this.accused = this.sentTo;
      this.accusedCode = less(this.ackedTo, this.sentTo) ? code : 0;
    } else {
      this.suspects = later(this.ackedTo, this.sentTo);
    }
  }

  /**
   * Sets the accused message aside, unless it is acknowledged; SKIPPED has its place. Returns what was refused
   * and the code. Nothing was sent yet on this connection.
   */
  reject(): { data: Data; code: number } | undefined {
    const entry = this.peek();
    const code = this.accusedCode;
    this.accusedCode = 0;
    if (!code || entry?.pos !== this.accused) {
      return;
    }
    const { data, receipt } = entry;
    receipt?.reject(failure("DataError", `rejected with ${code}`));
    this.unackedBytes += SKIPPED.length - entry.charge;
    entry.charge = SKIPPED.length;
    entry.data = null;
    entry.receipt = undefined;
    this.skippedPos = entry.pos;
    return { data: data as Data, code };
  }

  /** Handles an acknowledgement, `seq` being the number on the wire; false: that was not sent. */
  ack(seq: number): boolean {
    const position = add(seq, -this.wireShift);
    if (!this.hasSent(position)) {
      return false;
    }
    this.noteAcked(position);
    for (let entry: Entry | false | undefined; this.inFlight && (entry = this.upTo(position)); ) {
      this.entryAt.delete(entry.pos);
      this.inFlight--;
      this.flightBytes -= entry.charge + MESSAGE_OVERHEAD;
    }
    return true;
  }

  /** Returns the next message for this connection, if the sidecar's window has room; one may always be sent (§5.3). */
  take(): Data | null {
    const entry = this.peek(this.inFlight);
    if (!entry || entry.data instanceof Blob || less(this.last ?? this.lastPos, entry.pos)) {
      return null;
    }
    if (lessEq(entry.pos, this.ackedTo)) {
      this.entryAt.delete(entry.pos);
    } else {
      const bytes = this.flightBytes + entry.charge + MESSAGE_OVERHEAD;
      if (this.inFlight && (this.oneByOne || bytes > this.limit)) {
        return null;
      }
      this.inFlight++;
      this.flightBytes = bytes;
    }
    this.taken = entry;
    this.asks ||= !!entry.receipt;
    this.sentTo = entry.pos;
    if (less(this.highest, this.sentTo)) {
      this.highest = this.sentTo;
      this.queued -= entry.charge;
    }
    // What has restored the context is not for the app once more. What a restore that was cut short began with, and
    // the next one did not say again, is.
    return entry.early && this.said.has(`${entry.data}`) ? SKIPPED : (entry.data ?? SKIPPED);
  }

  /** Empties it: the session is over. Rejects the receipts, and returns what was not acknowledged. */
  fail(why: string): Unacknowledged[] {
    const left = this.inOrder.filter(({ pos }) => less(this.ackedTo, pos));
    this.entryAt.clear();
    this.unackedBytes = this.queued = this.inFlight = this.flightBytes = 0;
    this.last = null;
    return left.flatMap(({ pos, data, receipt }) => {
      receipt?.reject(failure("AbortError", `session ${why}`));
      return data === null ? [] : { data, sent: lessEq(pos, later(this.highest, this.inherited)) };
    });
  }

  /** Returns the nth entry from the front, if it is among those up to `position`. */
  private upTo(position: number, n?: number): Entry | false | undefined {
    const entry = this.peek(n);
    return entry && lessEq(entry.pos, position) && entry;
  }

  /** Notes that what is up to `position` is acknowledged, and resolves the receipts. */
  private noteAcked(position: number): void {
    for (let n = 0, entry: Entry | false | undefined; (entry = this.upTo(position, n)); n++) {
      if (less(this.ackedTo, entry.pos)) {
        this.unackedBytes -= entry.charge;
        entry.receipt?.resolve();
      }
    }
    this.ackedTo = later(this.ackedTo, position);
    this.suspects = later(this.suspects, this.ackedTo);
  }
}

/** Returns the later of two positions. */
function later(a: number, b: number): number {
  return less(a, b) ? b : a;
}
