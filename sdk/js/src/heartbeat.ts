import { less } from "./serial.ts";
import { u32 } from "./wire.ts";

/**
 * Layout of a payload, integers big-endian (PROTOCOL §6.1):
 *
 *     0       4               12     13
 *     | seq   | ts_ms         | crc8 |
 */
const CRC_OFFSET = 12;
const SIZE = 13;

/** Builds a payload; `tsMillis` is the sender's wall clock, exact up to 2^53. */
export function payload(seq: number, tsMillis: number): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.of(...u32(seq), ...u32(tsMillis / 2 ** 32), ...u32(tsMillis), 0);
  bytes[CRC_OFFSET] = crc8(bytes);
  return bytes;
}

/** Reads the seq of a payload, which counts the sender's beats (RFC 1982) and no data; NaN if it is damaged. */
export function parsePayload(bytes: Uint8Array): number {
  const valid = bytes.length === SIZE && crc8(bytes) === bytes[CRC_OFFSET];
  return valid ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) : 0 / 0;
}

/** Whether a beat is newer than the last one that was accepted, if there was any: no other is answered. */
export function isNewer(seq: number, last: number | undefined): boolean {
  return seq >= 0 && (last === undefined || less(last, seq));
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
