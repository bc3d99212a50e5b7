import assert from "node:assert/strict";
import { test } from "node:test";
import { Fifo } from "../src/fifo.ts";

test("a queue gives back what was put in, in order, and moves up in between", () => {
  const queue = new Fifo<number>();
  let next = 0;
  let first = 0;
  for (const [puts, drops] of [
    [10, 3],
    [5_000, 2_500],
    [1, 2_400],
    [3_000, 3_000],
    [7, 114],
    [1, 2],
  ] as const) {
    for (let i = 0; i < puts; i++) {
      queue.push(next++);
    }
    for (let i = 0; i < drops; i++) {
      assert.equal(queue.peek(), first++);
      queue.drop();
    }
    assert.equal(queue.length, next - first);
    assert.deepEqual(
      queue.rest(),
      Array.from({ length: next - first }, (_, i) => first + i),
    );
    assert.equal(queue.peek(queue.length), undefined);
  }
  assert.equal(queue.length, 0);
  queue.push(1);
  queue.clear();
  assert.equal(queue.peek(), undefined);
  assert.deepEqual(queue.rest(), []);
});
