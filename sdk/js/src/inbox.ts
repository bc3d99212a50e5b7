import { distance } from "./serial.ts";

/** A receiver acknowledges at the latest after so many messages or bytes (PROTOCOL §5.1). */
const ACK_MESSAGES = 32;
const ACK_BYTES = 64 << 10;

/** A time that never comes. */
export const NEVER = 1 / 0;

/**
 * What was received. A message is dispatched to the page as soon as it is here, so there is no queue, and
 * nothing counts as received that was not dispatched (PROTOCOL §5.2).
 */
export class Inbox {
  /** Last message that was dispatched. */
  lastIn = 0;
  /** When an ack is due. */
  due = NEVER;

  private ackedSeq = 0;
  private bytesSince = 0;

  start(position: number): void {
    this.lastIn = position;
    this.acknowledged(position);
  }

  /** Notes that message `seq` was dispatched; its ack may wait for others until `by`. */
  dispatched(now: number, seq: number, size: number, by: number): void {
    this.lastIn = seq;
    this.bytesSince += size;
    const full = distance(this.ackedSeq, seq) >= ACK_MESSAGES || this.bytesSince >= ACK_BYTES;
    this.due = Math.min(this.due, full ? now : by);
  }

  /** Notes that what is up to `seq` was acknowledged. */
  acknowledged(seq: number): void {
    this.ackedSeq = seq;
    if (seq === this.lastIn) {
      this.bytesSince = 0;
      this.due = NEVER;
    }
  }
}
