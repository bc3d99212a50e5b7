import assert from "node:assert/strict";

/** Messages that carry a number, in all the forms that a message can have. */

const MAGIC = [0xff, 0x57, 0x53, 0x52];

/** Bytes of the largest: more than one frame's worth of any buffer on the way. */
const LARGE = 100_000;

/** How often, in messages, each of the rarer forms comes. */
const LARGE_EVERY = 151;
const BINARY_EVERY = 3;
const MAGIC_EVERY = 5;

/** The message with a number. */
export function numbered(n: number): string | Uint8Array<ArrayBuffer> {
  const padding = n % LARGE_EVERY === 0 ? LARGE : n % 50;
  if (n % BINARY_EVERY !== 0) return `${n}:${"é".repeat(padding)}`;
  const bytes = new Uint8Array(8 + padding);
  if (n % MAGIC_EVERY === 0) bytes.set(MAGIC); // it looks like a control message
  new DataView(bytes.buffer).setUint32(4, n);
  return bytes;
}

/** A view of bytes, whatever holds them. */
const view = (data: ArrayBuffer | Uint8Array): Uint8Array =>
  data instanceof ArrayBuffer ? new Uint8Array(data) : data;

/** Checks that messages are those from `first` on, each once, in order and whole. */
export function assertNumbers(
  messages: readonly (string | ArrayBuffer | Uint8Array)[],
  count: number,
  first = 1,
): void {
  for (const [i, message] of messages.entries()) {
    const expected = numbered(first + i);
    if (typeof message === "string" || typeof expected === "string") assert.equal(message, expected);
    else assert.deepEqual(Buffer.from(view(message)), Buffer.from(expected), `message ${first + i}`);
  }
  assert.equal(messages.length, count);
}
