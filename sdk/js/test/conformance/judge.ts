import assert from "node:assert/strict";
import type { test } from "node:test";
import type { Outcome } from "./table.ts";

/** Makes each outcome a test. */
export async function judge(t: { test: typeof test }, outcomes: readonly Outcome[]): Promise<void> {
  assert.ok(outcomes.length > 50, `${outcomes.length} cases`);
  for (const { name, error } of outcomes) {
    await t.test(name, () => assert.equal(error, ""));
  }
}
