import assert from "node:assert/strict";
import { test } from "node:test";
import { isNewer, parsePayload, payload } from "../src/heartbeat.ts";

test("any first beat is newer than none, then only later ones are", () => {
  for (const first of [0, 1, 7, 0x80000000, 0xffffffff]) {
    assert.ok(isNewer(first, undefined));
    assert.ok(!isNewer(first, first), "a repetition");
    assert.ok(!isNewer((first - 1) >>> 0, first), "an older one");
    assert.ok(isNewer((first + 5) >>> 0, first), "a gap");
  }
});

test("the wrap is no gap, and 2^31 steps ahead is not known to be newer", () => {
  assert.ok(isNewer(1, 0xfffffffe));
  assert.ok(!isNewer(0xffffffff, 1));
  assert.ok(!isNewer(0x80000001, 1));
  assert.ok(isNewer(0x80000000, 1));
});

test("a damaged payload is not newer than anything", () => {
  const damaged = parsePayload(new Uint8Array(13));
  assert.ok(!isNewer(damaged, undefined));
  assert.ok(!isNewer(damaged, 0));
});

test("no single flipped bit passes the checksum", () => {
  const whole = payload(1, 1_700_000_000_000);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = whole.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(parsePayload(flipped), Number.NaN, `bit ${bit}`);
  }
  assert.equal(parsePayload(whole), 1);
});

test("a payload is read from the middle of a buffer", () => {
  const around = new Uint8Array(20);
  around.set(payload(9, Number.MAX_SAFE_INTEGER), 4);
  assert.equal(parsePayload(around.subarray(4, 17)), 9);
});
