import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/backoff.ts";

const waits = (backoff: Backoff, n: number) => Array.from({ length: n }, () => backoff.next());

test("the mean grows by a quarter up to half of the longest wait, and reset begins anew", () => {
  const backoff = new Backoff(1600, 8000, () => 0.5);
  assert.deepEqual(waits(backoff, 6), [1600, 2000, 2500, 3125, 3906.25, 4000]);
  backoff.reset();
  assert.deepEqual(waits(backoff, 2), [1600, 2000]);
});

test("only the first attempt of a series can be immediate", () => {
  const backoff = new Backoff(100, 30_000, () => 0.5);
  assert.deepEqual([backoff.next(true), backoff.next(true), backoff.next()], [0, 100, 125]);
  backoff.reset();
  assert.deepEqual([backoff.next(), backoff.next(true)], [100, 125]);
});

test("the jitter is full: from the shortest wait to twice the mean", () => {
  assert.deepEqual(waits(new Backoff(1000, 5000, () => 0), 4), [100, 100, 100, 100]);
  const highest = 1 - 2 ** -53;
  for (const [i, wait] of waits(new Backoff(1000, 5000, () => highest), 4).entries()) {
    assert.ok(Math.abs(wait - [2000, 2500, 3125, 3906.25][i]!) < 0.001, `${wait}`);
  }
});

test("no setting leads outside the limits", () => {
  for (const strange of [Number.NaN, -1, 0, 1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const backoff of [
      new Backoff(strange, 30_000, () => 0.5),
      new Backoff(100, strange, () => 0.5),
      new Backoff(strange, strange, () => 0.5),
    ]) {
      for (const wait of waits(backoff, 2000)) {
        assert.ok(wait >= 100 && wait <= 30_000, `${wait} of ${strange}`);
      }
    }
  }
});

test("a base above the longest wait is the longest wait", () => {
  assert.deepEqual(waits(new Backoff(9000, 2000, () => 0.999), 2), [1998, 1998]);
});

test("the longest wait can become another one", () => {
  const backoff = new Backoff(1000, 8000, () => 0.5);
  assert.deepEqual(waits(backoff, 1), [1000]);
  backoff.limitTo(1200);
  assert.deepEqual(waits(backoff, 2), [600, 600]);
  backoff.limitTo(Number.NaN);
  assert.deepEqual(waits(backoff, 1), [100]);
});
