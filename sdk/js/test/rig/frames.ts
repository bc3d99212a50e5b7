import { isMagic, TYPE } from "../../src/wire.ts";

/** A WebSocket frame as it travelled (RFC 6455 §5.2). */
export interface Frame {
  readonly opcode: number;
  /** Unmasked. */
  readonly payload: Uint8Array<ArrayBuffer>;
  /** Bytes on the wire, header and all. */
  readonly size: number;
  /** It is a control message of PROTOCOL §4, none of the app's. */
  readonly control: boolean;
}

const BINARY = 2;

/** Reads one direction of a connection: what precedes the first frame is HTTP. */
export class Frames {
  /** Bytes of the HTTP message at the beginning. */
  head = 0;
  /** Bytes that were read, ever. */
  total = 0;
  readonly #each: (frame: Frame) => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(each: (frame: Frame) => void) {
    this.#each = each;
  }

  take(bytes: Buffer): void {
    this.total += bytes.length;
    this.#rest = Buffer.concat([this.#rest, bytes]);
    if (this.head === 0) {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = end + 4;
      this.#rest = this.#rest.subarray(this.head);
    }
    for (let size: number; (size = this.#next()) > 0; ) this.#rest = this.#rest.subarray(size);
  }

  /** Reads a frame, and returns its size; 0 if it is not all there. */
  #next(): number {
    const b = this.#rest;
    if (b.length < 2) return 0;
    const short = b[1]! & 0x7f;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    const masked = b[1]! >= 0x80;
    const start = 2 + extended + (masked ? 4 : 0);
    if (b.length < start) return 0;
    const length = extended === 0 ? short : Number(extended === 2 ? b.readUInt16BE(2) : b.readBigUInt64BE(2));
    const size = start + length;
    if (b.length < size) return 0;
    const payload = new Uint8Array(length);
    for (let i = 0; i < length; i++) payload[i] = b[start + i]! ^ (masked ? b[start - 4 + (i % 4)]! : 0);
    const opcode = b[0]! & 0x0f;
    const control = opcode === BINARY && isMagic(payload) && payload[4] !== TYPE.escaped;
    this.#each({ opcode, payload, size, control });
    return size;
  }
}
