// Keys of messages with a real sidecar: each acts once, and its client hears what became of it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { keys } from "../rig/class.ts";
import { open } from "../rig/client.ts";
import { type Rig, sleep, startRig, until } from "../rig.ts";

const RULES = {
  WSR_IDEMPOTENCY_RULES: JSON.stringify({ rules: [{ path: "/keyed", key: "client", scope: "path" }] }),
};

let rig: Rig;
before(async () => {
  rig = await startRig({ environment: RULES });
});
after(() => rig.close());

const keyed = () => open(rig, { keys: keys() }, [], `${rig.url}keyed`);

test("a message acts once under its key, whichever client sends it, and across cuts", async () => {
  const [one, two] = [await keyed(), await keyed()];
  assert.equal(await one.socket.deliver("a", { key: "order-1" }), "first");
  assert.equal(await two.socket.deliver("b", { key: "order-1" }), "repeated");
  assert.equal(await one.socket.deliver(new Blob(["c"]), { key: "order-ö" }), "first");
  await one.socket.deliver("d");
  await rig.proxy.down(true);
  rig.proxy.cut();
  await one.is("reconnecting");
  await two.is("reconnecting");
  const later = [
    one.socket.deliver("e", { key: "order-2" }),
    one.socket.deliver("e", { key: "order-2" }),
    one.socket.deliver("f"),
  ];
  await rig.proxy.down(false);
  assert.deepEqual(await Promise.all(later), ["first", "repeated", undefined]);
  await one.has(5);
  assert.deepEqual(rig.app.received, ["a", Buffer.from("c"), "d", "e", "f"]);
  assert.deepEqual(one.received.length, 5);
  await two.is("connected");
  assert.deepEqual([one.events, two.events], Array(2).fill(["open", "resumed"]));
});

test("outcomes that a cut takes away come again, and are counted", async () => {
  const client = await keyed();
  for (let round = 0; round < 5; round++) {
    const fates = Array.from({ length: 10 }, (_, i) =>
      client.socket.deliver(`${i}`, { key: `${round}-${i >> 1}` }),
    );
    rig.proxy.cut();
    assert.deepEqual(
      await Promise.all(fates),
      Array.from({ length: 10 }, (_, i) => (i % 2 ? "repeated" : "first")),
    );
    await client.has((round + 1) * 5);
  }
  assert.deepEqual(client.resets, []);
});

test("where nobody takes keys nothing is sent", async () => {
  const client = await open(rig, { keys: keys() });
  const without = await open(rig);
  const { received } = rig.app.socket;
  for (const { socket } of [client, without]) {
    await assert.rejects(socket.deliver("x", { key: "k" }), { name: "NotSupportedError" });
    await socket.deliver("y");
  }
  await until(() => received.length > 0, "what has no key");
  assert.deepEqual(received, ["y"]);
});

test("a key is text of 1 to 64 bytes", async () => {
  const { socket } = await keyed();
  const before = rig.app.received.length;
  for (const key of ["", "k".repeat(65), "é".repeat(33), "\ud800", undefined, 7]) {
    await assert.rejects(socket.deliver("x", { key: key as string }), { name: "TypeError" });
  }
  assert.equal(await socket.deliver("x", { key: "é".repeat(32) }), "first");
  assert.equal(rig.app.received.length, before + 1);
});

test("a session that is lost goes on in another, and what has keys acts once", async () => {
  const environment = { ...RULES, WSR_SESSION_TTL: "1s", WSR_SESSION_TTL_GOING_AWAY: "1s" };
  const forgetful = await startRig({ environment });
  try {
    const options = { keys: keys({ renew: true }) };
    const client = await open(forgetful, options, [], `${forgetful.url}keyed`);
    assert.equal(await client.socket.deliver("a", { key: "k1" }), "first");
    const { sessionId } = client.socket;
    await forgetful.proxy.down(true);
    const fates = ["k1", "k2"].map((key) => client.socket.deliver(key, { key }));
    forgetful.proxy.cut();
    await client.is("reconnecting");
    await sleep(1500); // the sidecar and the client forget the session
    await forgetful.proxy.down(false);
    assert.deepEqual(await Promise.all(fates), ["repeated", "first"]);
    assert.notEqual(client.socket.sessionId, sessionId);
    assert.deepEqual(forgetful.app.received, ["a", "k2"]);
    assert.deepEqual(client.events, ["open", "adopted"]);
    assert.equal(client.adopted[0]!.reason, "renewed");
  } finally {
    await forgetful.close();
  }
});

test("messages with keys act once though their owner is killed", async () => {
  const pods = await startRig({ pods: 2, environment: { ...RULES, WSR_ADOPT: "always" } });
  try {
    const { socket, adopted } = await open(pods, { keys: keys(), adopt: true }, [], `${pods.url}keyed`);
    const fates: Promise<string>[] = [];
    for (let n = 0; n < 60; n++) {
      const fate = socket.deliver(`${n >> 1}`, { key: `${n >> 1}` });
      fates.push(fate.catch((error: Error) => error.name));
      await sleep(5);
      if (n === 30) {
        pods.proxy.target = pods.sidecars[1]!.port;
        await pods.sidecar.kill();
      }
    }
    for (const [n, fate] of (await Promise.all(fates)).entries()) {
      // What the owner was just doing may be in doubt; whatever is not has acted once.
      const times = pods.app.received.filter((text) => text === `${n >> 1}`).length;
      assert.ok(
        times === 1 || (times === 0 && ["doubt", "AbortError"].includes(fate)),
        `message ${n}: ${fate}, acted ${times} times`,
      );
    }
    assert.equal(adopted.length, 1);
  } finally {
    await pods.close();
  }
});
