// Exactly once and in order, in both directions, through hundreds of cuts of every kind.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, open } from "../rig/client.ts";
import { assertNumbers, numbered } from "../rig/numbers.ts";
import { type Cut, type Rig, sleep, startRig, until } from "../rig.ts";

const CUTS = 220;

/** Messages per direction that a pump says at once, and the pause after them in ms. */
const BURST = 8;
const PAUSE = 4;

/** Half-open connections take a second each to be found, so they are rarer than the others. */
const HALF_OPEN_EVERY = 40;

/** Longest life of a connection, in ms: many end within their handshake. */
const LIFE = 60;

/** Says numbers until it is stopped; returns how many. */
async function pump(say: (n: number) => void, going: () => boolean): Promise<number> {
  let n = 0;
  while (going()) {
    for (let i = 0; i < BURST; i++) say(++n);
    await sleep(PAUSE);
  }
  return n;
}

async function cutOften(rig: Rig, client: Client): Promise<void> {
  const kinds: readonly Cut[] = ["rst", "fin", "half-client"];
  for (let i = 0; i < CUTS; i++) {
    await until(() => rig.proxy.connections > 0, "a connection to cut");
    await sleep(Math.random() * LIFE);
    if (i % HALF_OPEN_EVERY !== 0) {
      rig.proxy.cut(kinds[i % kinds.length]!);
      continue;
    }
    await client.is("connected");
    const before = client.resumed.length;
    rig.proxy.cut("half-server");
    await until(() => client.resumed.length > before, "the half-open connection was found");
  }
}

test("nothing is missing and nothing comes twice through hundreds of cuts at speed", {
  timeout: 240_000,
}, async () => {
  const rig = await startRig();
  try {
    const client = await open(rig);
    const socket = rig.app.socket;
    socket.received.length = 0;
    rig.app.options.onMessage = () => {};
    let going = true;
    const inbound = pump(
      (n) => client.socket.send(numbered(n)),
      () => going,
    );
    const outbound = pump(
      (n) => socket.send(numbered(n)),
      () => going,
    );
    await cutOften(rig, client);
    going = false;
    const said = { inbound: await inbound, outbound: await outbound };
    await client.has(said.outbound);
    await client.delivered();
    await until(() => socket.received.length >= said.inbound, "the app has read it all");

    assertNumbers(client.received, said.outbound);
    assertNumbers(socket.received, said.inbound);
    assert.ok(said.inbound > 3_000 && said.outbound > 3_000, JSON.stringify(said));
    assert.equal(rig.app.sockets.length, 1, "the app noticed nothing");
    assert.deepEqual([...new Set(client.events)], ["open", "resumed"], "the page neither");
  } finally {
    await rig.close();
  }
});
