import { less } from "./serial.ts";

/**
 * Layout of a payload, integers big-endian (PROTOCOL §6.1):
 *
 *     0       4               12     13
 *     | seq   | ts_ms         | crc8 |
 */
const SIZE = 13;
const CRC_OFFSET = 12;

/** What a heartbeat carries and its answer echoes. */
export interface Beat {
  /** Counts the sender's beats, not data (RFC 1982). */
  readonly seq: number;
  /** The sender's wall clock; exact up to 2^53. */
  readonly tsMillis: number;
}

/** Builds a payload. */
export function payload(seq: number, tsMillis: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(SIZE));
  view.setUint32(0, seq);
  view.setUint32(4, tsMillis / 2 ** 32);
  view.setUint32(8, tsMillis);
  const bytes = new Uint8Array(view.buffer);
  bytes[CRC_OFFSET] = crc8(bytes);
  return bytes;
}

/** Reads a payload; null if it is damaged. */
export function parsePayload(bytes: Uint8Array): Beat | null {
  if (bytes.length !== SIZE || crc8(bytes) !== bytes[CRC_OFFSET]) {
    return null;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { seq: view.getUint32(0), tsMillis: view.getUint32(4) * 2 ** 32 + view.getUint32(8) };
}

/**
 * The receiver's check on incoming beats: one is accepted at most once, never after a newer one, and the wrap
 * of the counter is no gap. Any first one is accepted; the sender counts anew on each connection.
 */
export class Newest {
  private last: number | undefined;

  /** Whether a beat is newer than all before. */
  accept(seq: number): boolean {
    const newer = this.last === undefined || less(this.last, seq);
    if (newer) {
      this.last = seq;
    }
    return newer;
  }
}

/** CRC-8/ROHC (RFC 5795) over what precedes the checksum: x^8 + x^2 + x + 1, reflected, begun with FF. */
function crc8(bytes: Uint8Array): number {
  let crc = 0xff;
  for (const byte of bytes.subarray(0, CRC_OFFSET)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc >>> 1) ^ (crc & 1 && 0xe0);
    }
  }
  return crc;
}
