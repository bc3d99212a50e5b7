// How soon clients are back after an outage, on a clock of our own (as TestOutages of the Go client).
import assert from "node:assert/strict";
import { test } from "node:test";
import { receive } from "../src/incoming.ts";
import { Machine } from "../src/machine.ts";
import type { Settings } from "../src/options.ts";
import { attach, beginDial, broken, offer, wantDial } from "../src/redial.ts";
import { encodeWelcome } from "./encode.ts";
import { Chance } from "./machine/chance.ts";

const CLIENTS = 1000;
const settings = {
  outboxMessages: 100,
  outboxBytes: 1e6,
  connectTimeout: 10_000,
  reconnectDelay: 100,
} as Settings;

/** What a sidecar with so many sessions asks for (internal/backoff). */
const asked = (sessions: number) => ({
  retryFirstMillis: Math.min(sessions * 3, 5000),
  retryMostMillis: Math.min(Math.max(sessions, 5000), 30_000),
});

/** By how much a client is back later than an outage ends, in ms, and how often it tried. Attempts fail at once. */
function late(seed: number, sessions: number, outage: number): { by: number; attempts: number } {
  const machine = new Machine(settings, new Chance(seed).float);
  const first = beginDial(machine, 0);
  attach(machine, 0, first);
  receive(machine, 0, first, encodeWelcome(asked(sessions)));
  const cut = 60_000;
  machine.forPage.length = 0;
  broken(machine, cut, first, 1006, "", false);
  for (let attempts = 1; ; attempts++) {
    const at = machine.dialAt;
    assert.ok(wantDial(machine, at), "an attempt is to come");
    if (at - cut >= outage) return { by: at - cut - outage, attempts };
    const connection = beginDial(machine, at);
    offer(machine, connection);
    broken(machine, at, connection, 1006, "", false);
  }
}

for (const outage of [0, 2000, 5000, 10_000, 30_000, 120_000]) {
  for (const alone of [true, false]) {
    test(`an outage of ${outage / 1000} s, ${alone ? "of clients that are alone" : "of all"}`, () => {
      const all = Array.from({ length: CLIENTS }, (_, i) => late(i + 1, alone ? 1 : i + 1, outage));
      const times = all.map(({ by }) => by).sort((a, b) => a - b);
      const [least, median, worst] = [times[0]!, times[CLIENTS / 2]!, times[CLIENTS - 1]!];
      const most = outage ? outage / 5 : alone ? 10 : 1000;
      assert.ok(median <= most, `the median client is late by ${median} ms, at most ${most}`);
      assert.ok(worst <= 5000, `one is late by ${worst} ms`);
      // Right after a short outage waits have not grown yet, and those who came too early come again.
      const spread = outage ? Math.min(2000, outage / 2) : 2000;
      assert.ok(alone || worst - least >= spread, `all come within ${worst - least} ms`);
      const tries = all.reduce((sum, { attempts }) => sum + attempts, 0) / CLIENTS;
      assert.ok(tries <= 15 + outage / 1000, `${tries} attempts each`);
    });
  }
}
