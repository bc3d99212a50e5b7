import assert from "node:assert/strict";
import { test } from "node:test";
import { Newest, parsePayload, payload } from "../src/heartbeat.ts";

test("any first beat is accepted, then newer ones only", () => {
  for (const first of [0, 1, 7, 0x80000000, 0xffffffff]) {
    const newest = new Newest();
    assert.ok(newest.accept(first));
    assert.ok(!newest.accept(first), "a repetition");
    assert.ok(!newest.accept((first - 1) >>> 0), "an older one");
    assert.ok(newest.accept((first + 5) >>> 0), "a gap");
    assert.ok(!newest.accept((first + 4) >>> 0), "one of the gap");
  }
});

test("the wrap is no gap, and 2^31 steps ahead is not known to be newer", () => {
  const newest = new Newest();
  assert.ok(newest.accept(0xfffffffe));
  assert.ok(newest.accept(1));
  assert.ok(!newest.accept(0xffffffff));
  assert.ok(!newest.accept(0x80000001));
  assert.ok(newest.accept(0x80000000));
});

test("no single flipped bit passes the checksum", () => {
  const whole = payload(1, 1_700_000_000_000);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = whole.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(parsePayload(flipped), null, `bit ${bit}`);
  }
  assert.deepEqual(parsePayload(whole), { seq: 1, tsMillis: 1_700_000_000_000 });
});

test("a payload is read from the middle of a buffer", () => {
  const around = new Uint8Array(20);
  around.set(payload(9, Number.MAX_SAFE_INTEGER), 4);
  assert.deepEqual(parsePayload(around.subarray(4, 17)), { seq: 9, tsMillis: Number.MAX_SAFE_INTEGER });
});
