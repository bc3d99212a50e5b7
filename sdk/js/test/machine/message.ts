import type { Data } from "../../src/store.ts";

const MAGIC = Uint8Array.of(0xff, 0x57, 0x53, 0x52);

/** Builds a message of a kind by its number: text, bytes, or bytes that begin like a control message. */
export function message(id: string, size: number, kind: number): Data {
  const text = id.padEnd(size, ".");
  if (kind === 0) {
    return text;
  }
  const bytes = new TextEncoder().encode(text);
  return kind === 1 ? bytes : Uint8Array.of(...MAGIC, 0, ...bytes);
}

/** Tells which message it is. */
export function carried(data: Data): string {
  const text = typeof data === "string" ? data : new TextDecoder("latin1").decode(data);
  return /[a-z]\d+/.exec(text)?.[0] ?? text;
}
