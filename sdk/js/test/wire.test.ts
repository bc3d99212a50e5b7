import assert from "node:assert/strict";
import { test } from "node:test";
import { isOwn, offer } from "../src/offer.ts";
import { add } from "../src/serial.ts";
import { byteLength } from "../src/utf8.ts";
import { decode, encodeBeat, encodeClose, escapeData, isMagic, TYPE, WireError } from "../src/wire.ts";
import { encodeGoAway, encodeReset, encodeWelcome, MAX_CONTROL } from "./encode.ts";

/** Numbers in [0, 1) from a seed (mulberry32), so that what fails can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ROUNDS = 20_000;

const SAMPLES = [
  encodeWelcome({ subprotocol: "chat" }),
  encodeWelcome({ status: 2, reason: 3, token: "a".repeat(1024) }),
  encodeBeat(TYPE.heartbeat, new Uint8Array(13), 1, 2),
  encodeGoAway(1, 2500),
  encodeClose(1000, "héllo 😀"),
  encodeReset(5),
  escapeData(encodeReset(1)),
];

/** Decodes, and says whether it was refused. */
function refused(bytes: Uint8Array): boolean {
  try {
    decode(bytes);
    return false;
  } catch (e) {
    assert.ok(e instanceof WireError, `${Buffer.from(bytes).toString("hex")}: ${e}`);
    return true;
  }
}

test("random bytes are refused with a WireError and nothing else", () => {
  const random = seeded(1);
  let accepted = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const bytes = Uint8Array.from({ length: random() * 80 }, () => random() * 256);
    if (i % 8) {
      bytes.set([0xff, 0x57, 0x53, 0x52, random() * 9].slice(0, bytes.length));
    }
    accepted += refused(bytes) ? 0 : 1;
  }
  assert.ok(accepted > 10 && accepted < ROUNDS / 2, `${accepted} accepted`);
});

test("mutated messages are refused with a WireError and nothing else, or are well formed", () => {
  const random = seeded(2);
  const outcomes = new Set<boolean>();
  for (let i = 0; i < ROUNDS; i++) {
    const sample = SAMPLES[Math.trunc(random() * SAMPLES.length)]!;
    const bytes = new Uint8Array(sample.length + Math.trunc(random() * 2));
    bytes.set(sample);
    bytes[Math.trunc(random() * bytes.length)] = random() * 256;
    outcomes.add(refused(bytes.subarray(0, bytes.length - Math.trunc(random() * 2))));
  }
  assert.equal(outcomes.size, 2);
});

test("every message cut short is refused", () => {
  for (const sample of SAMPLES.filter((s) => s[4] !== TYPE.close && s[4] !== TYPE.escaped)) {
    for (let n = 0; n < sample.length; n++) {
      assert.ok(refused(sample.subarray(0, n)));
    }
    assert.ok(!refused(sample));
  }
});

test("a message is read from the middle of a buffer, and nothing of it is kept", () => {
  const message = escapeData(encodeReset(1));
  const around = new Uint8Array(message.length + 20);
  around.set(message, 7);
  const control = decode(around.subarray(7, 7 + message.length));
  around.fill(0);
  assert.deepEqual(control, { type: TYPE.escaped, data: encodeReset(1) });
});

test("limits: token, control message, close reason", () => {
  const longest = encodeWelcome({ token: "a".repeat(1024), subprotocol: "b".repeat(255) });
  assert.ok(!refused(longest) && longest.length <= MAX_CONTROL);
  assert.ok(refused(encodeWelcome({ token: "a".repeat(1025) })));
  // 122 bytes and one character of two: it is left out, not cut through.
  assert.deepEqual(decode(encodeClose(4000, `${"a".repeat(122)}é`)), {
    type: TYPE.close,
    code: 4000,
    reason: "a".repeat(122),
  });
});

test("text keeps a byte order mark, and has no line ends to hide behind", () => {
  assert.deepEqual(decode(encodeClose(1000, "\ufeffbye")), {
    type: TYPE.close,
    code: 1000,
    reason: "\ufeffbye",
  });
  assert.ok(refused(encodeWelcome({ token: "abc\n" })));
});

test("isMagic looks at the first four bytes only", () => {
  assert.ok(isMagic(Uint8Array.of(0xff, 0x57, 0x53, 0x52)));
  assert.ok(!isMagic(Uint8Array.of(0xff, 0x57, 0x53)));
  assert.ok(!isMagic(Uint8Array.of(0, 0xff, 0x57, 0x53, 0x52)));
  assert.ok(!isMagic(new Uint8Array()));
});

test("isOwn is about what a page must not offer", () => {
  assert.deepEqual(["wsr", "wsr.", "wsr.v1", "wsr.later", "wsrx", "WSR.v1", "chat", ""].map(isOwn), [
    true,
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test("an offer puts the app's protocols first and leaves them alone", () => {
  const app = ["b", "a"];
  assert.deepEqual(offer(app, true, { token: "t", lastIn: add(0, -1), next: 0, dial: 2 }), [
    "b",
    "a",
    "wsr.v1",
    "wsr.adopt",
    "wsr.resume.t.4294967295.0.2",
  ]);
  assert.deepEqual(app, ["b", "a"]);
});

test("byteLength is what a TextEncoder makes of a string", () => {
  const random = seeded(3);
  const units = [0x41, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff];
  for (let i = 0; i < ROUNDS; i++) {
    const s = String.fromCharCode(
      ...Array.from({ length: random() * 8 }, () => units[Math.trunc(random() * units.length)]!),
    );
    assert.equal(byteLength(s), new TextEncoder().encode(s).length, JSON.stringify(s));
  }
});
