// What becomes of a session when the sidecar, the app or both go away.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Options } from "../../src/index.ts";
import { type Client, open } from "../rig/client.ts";
import { assertNumbers, numbered } from "../rig/numbers.ts";
import { echo, type Rig, type RigOptions, sleep, startRig, until } from "../rig.ts";

/** Messages of each phase of a test. */
const SOME = 50;

/** Runs a test with a rig and a client whose page handles adoptions. */
async function withClient(
  rigOptions: RigOptions,
  options: Options,
  body: (rig: Rig, client: Client) => Promise<void>,
): Promise<void> {
  const rig = await startRig({ app: {}, ...rigOptions });
  try {
    await body(rig, await open(rig, { adopt: true, ...options }));
  } finally {
    await rig.close();
  }
}

/** Lets both sides say some numbers, and waits until both have them. */
async function talk(rig: Rig, client: Client, from: number): Promise<void> {
  const { socket } = rig.app;
  for (let n = from; n < from + SOME; n++) {
    client.socket.send(numbered(n));
    socket.send(numbered(n));
  }
  await client.has(from + SOME - 1);
  await client.delivered();
}

test("a killed sidecar that comes back goes on with the session", () =>
  withClient({}, {}, async (rig, client) => {
    const { sessionId } = client.socket;
    await talk(rig, client, 1);
    await rig.sidecar.kill();
    await client.is("reconnecting");
    for (let n = SOME + 1; n <= 2 * SOME; n++) client.socket.send(numbered(n));
    await rig.sidecar.run();
    await client.is("connected");
    await client.delivered();
    assert.deepEqual(
      client.adopted.map((event) => event.reason),
      ["owner_lost"],
    );
    assert.ok(client.adopted[0]!.away > 0);
    assert.equal(client.socket.sessionId, sessionId);
    assert.equal(rig.app.sockets.length, 2);
    assertNumbers(rig.app.sockets[1]!.received, SOME, SOME + 1);
    for (let n = SOME + 1; n <= 2 * SOME; n++) rig.app.socket.send(numbered(n));
    await client.has(2 * SOME);
    assertNumbers(client.received, 2 * SOME);
  }));

test("a sidecar that is stopped and started again has lost nothing", () =>
  withClient({}, {}, async (rig, client) => {
    await talk(rig, client, 1);
    const stopped = rig.sidecar.stop();
    for (let n = SOME + 1; n <= 2 * SOME; n++) rig.app.socket.send(numbered(n));
    await stopped;
    await rig.sidecar.run();
    await client.is("connected");
    await until(() => rig.app.sockets.length === 2, "the app's second socket");
    await talk(rig, client, 2 * SOME + 1);
    assert.deepEqual(
      client.adopted.map((event) => event.reason),
      ["drained"],
    );
    assertNumbers(client.received, 3 * SOME);
  }));

test("an app that restarts is an adoption without a reconnect", () =>
  withClient({}, {}, async (rig, client) => {
    await talk(rig, client, 1);
    const { accepted } = rig.proxy;
    await rig.app.stop();
    for (let n = SOME + 1; n <= 2 * SOME; n++) client.socket.send(numbered(n));
    await rig.app.start();
    await client.delivered();
    assert.deepEqual(
      client.adopted.map((event) => [event.reason, event.away]),
      [["app_restarted", 0]],
    );
    assert.equal(rig.proxy.accepted, accepted);
    assertNumbers(rig.app.received, 2 * SOME);
  }));

/** Adopt functions of both kinds, whose login needs a ticket. */
const RESTORES: Record<string, (client: () => Client) => NonNullable<Options["adopt"]>> = {
  "by socket.send": (client) => async () => client().socket.send(await ticket()),
  "by its parameter": (client) => async (_event, send) => {
    client().socket.send("meanwhile");
    send(await ticket());
  },
};

async function ticket(): Promise<string> {
  await sleep(20);
  return "login";
}

for (const [how, make] of Object.entries(RESTORES)) {
  test(`what the function adopt sends ${how} comes before all that waits, whatever breaks meanwhile`, async () => {
    let client: Client | null = null;
    await withClient({}, { adopt: make(() => client!) }, async (rig, opened) => {
      client = opened;
      client.socket.send("login");
      await client.delivered();
      await rig.app.stop();
      client.socket.send("order 1");
      await rig.proxy.down(true);
      rig.proxy.cut();
      client.socket.send("order 2");
      await rig.app.start();
      await rig.proxy.down(false);
      await until(() => rig.app.sockets.length === 2, "a fresh socket");
      rig.proxy.cut(); // in the middle of the restore, or about then
      await client.is("connected");
      await client.delivered();
      const heard = rig.app.sockets.map(({ received }) => received);
      await until(() => heard[1]!.includes("order 2"), "the app has all");
      assert.deepEqual(heard[0], ["login"]);
      assert.equal(heard[1]![0], "login");
      const orders = heard[1]!.filter((text) => text !== "login" && text !== "meanwhile");
      assert.deepEqual(orders, ["order 1", "order 2"]);
      assert.ok(heard[1]!.indexOf("order 1") > heard[1]!.lastIndexOf("login"), `${heard[1]}`);
    });
  });
}

test("a page that cannot restore its context closes with 1012", async () => {
  const adopt = () => Promise.reject(new Error("no credentials"));
  await withClient({}, { adopt }, async (rig, client) => {
    await rig.app.restart();
    assert.equal((await client.ended()).code, 1012);
    await until(() => rig.app.sockets[1]?.closed, "the new socket is closed too");
  });
});

test("where nobody can restore the context, the page sees the app's socket break, after what was under way", () =>
  withClient({}, { adopt: false }, async (rig, client) => {
    rig.app.socket.send("last");
    await rig.app.restart();
    assert.equal((await client.ended()).code, 1006);
    assert.deepEqual(client.received, ["last"]);
  }));

test("a draining pod is left before it goes, and nothing is missing", () =>
  withClient({ pods: 2 }, {}, async (rig, client) => {
    await talk(rig, client, 1);
    rig.app.options.onMessage = echo.onMessage!; // of an app that never answers nobody knows whether it owes an answer
    rig.proxy.target = rig.sidecars[1]!.port;
    let together = 0;
    let going = true;
    let said = SOME;
    const speaking = (async () => {
      for (; going; await sleep(1)) {
        client.socket.send(numbered(++said));
        together = Math.max(together, rig.proxy.connections);
      }
    })();
    await rig.sidecar.drain();
    await until(() => client.adopted.length === 1, "adopted");
    await rig.sidecar.kill();
    going = false;
    await speaking;
    await client.delivered();
    assert.deepEqual(
      client.adopted.map((event) => event.reason),
      ["drained"],
    );
    assert.equal(together, 2, "the new connection stood while the old one did");
    assert.ok(client.adopted[0]!.away < 100, `away for ${client.adopted[0]!.away} ms`);
    // What is acknowledged lies in the app's socket; the app still has to read it.
    await until(() => rig.app.received.length >= said, "the app read everything");
    assertNumbers(rig.app.received, said);
    assert.deepEqual(client.events, ["open", "adopted"]);
  }));
