// Dials: whether there is a sidecar is known when it is, and not guessed; and what they are made with.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ResilientWebSocket } from "../src/index.ts";
import { network } from "./network.ts";
import { until } from "./rig.ts";

const OURS = "wsr wsr.v1";

test("a handshake that fails once says nothing of the server", async () => {
  const { dials, webSocket } = network("fails", "wsr.v1");
  for (let i = 0; i < 2; i++) {
    const socket = new ResilientWebSocket("ws://a.test/", [], { webSocket });
    await until(() => socket.readyState === 1, "open");
    assert.equal(socket.resilient, true);
    socket.close();
  }
  assert.deepEqual(dials.slice(0, 3), [OURS, OURS, OURS]);
});

test("the console has one line where there is no sidecar, and none where there is one", async (t) => {
  const { mock } = t.mock.method(console, "info", () => {});
  for (const answer of ["", "wsr.v1"] as const) {
    const socket = new ResilientWebSocket("ws://l.test/", [], { webSocket: network(answer).webSocket });
    await until(() => socket.readyState === 1, "open");
    assert.equal(socket.resilient, !!answer);
    socket.close();
  }
  assert.deepEqual(
    mock.calls.map((call) => call.arguments),
    [["wsresilience: no sidecar"]],
  );
});

test("a server that refuses our subprotocols, and no others, has an ordinary WebSocket, and is asked again later", async () => {
  const { dials, sockets, webSocket } = network("");
  for (let i = 0; i < 2; i++) {
    const socket = new ResilientWebSocket("ws://b.test/", [], { webSocket });
    await until(() => socket.readyState === 1, "open");
    assert.equal(socket.resilient, false);
    assert.equal(sockets.filter(({ readyState }) => readyState === 1).length, 1, "one connection is left");
    socket.close();
  }
  assert.deepEqual(dials, [OURS, OURS, "", OURS, "", OURS, OURS, "", OURS, ""]);
});

for (const times of [1, 2]) {
  test(`a sidecar whose handshakes fail ${times} times is found`, async () => {
    const { webSocket } = network(...(Array(times).fill("fails") as ["fails"]), "wsr.v1");
    const socket = new ResilientWebSocket("ws://h.test/", [], { webSocket });
    await until(() => socket.readyState === 1, "open");
    assert.equal(socket.resilient, true);
    socket.close();
  });
}

test("a server that is not there is dialled three times", async () => {
  const { dials, webSocket } = network("fails");
  const socket = new ResilientWebSocket("ws://g.test/", [], { webSocket });
  await until(() => socket.readyState === 3, "closed");
  assert.deepEqual(dials, [OURS, OURS, ""]);
});

test("five servers in a row without a sidecar end the session; with newSessionAfterReset the page goes on without", async () => {
  for (const newSessionAfterReset of [false, true]) {
    const { sockets, webSocket } = network("wsr.v1", "chat");
    const options = {
      webSocket,
      newSessionAfterReset,
      adopt: (_: unknown, send: (data: string) => void) => send("login"),
    };
    const socket = new ResilientWebSocket("ws://i.test/", ["chat"], options);
    const reasons: string[] = [];
    socket.addEventListener("reset", ({ reason }) => reasons.push(reason));
    await until(() => socket.readyState === 1, "open");
    socket.addEventListener("reset", () => socket.send("order"));
    sockets[0]!.breaks();
    await until(() => reasons.length > 0, "reset");
    assert.deepEqual(reasons, ["no_sidecar"]);
    if (newSessionAfterReset) {
      await until(() => socket.state === "connected", "connected");
      await sleep(0);
      assert.equal(socket.resilient, false);
      assert.deepEqual(sockets.at(-1)!.sent, ["login", "order"]);
    } else {
      await until(() => socket.readyState === 3, "closed");
    }
    socket.close();
  }
});

/** Waits are the shortest ones. */
const QUICK = { reconnectDelay: 0, maxReconnectDelay: 100 };

test("servers that fail only what offers our subprotocols end the session after five looks", async () => {
  const { dials, sockets, webSocket } = network("wsr.v1", "");
  const socket = new ResilientWebSocket("ws://j.test/", [], { webSocket, ...QUICK });
  const reasons: string[] = [];
  socket.addEventListener("reset", ({ reason }) => reasons.push(reason));
  await until(() => socket.readyState === 1, "open");
  sockets[0]!.breaks();
  await until(() => socket.readyState === 3, "closed");
  assert.deepEqual(reasons, ["no_sidecar"]);
  const plain = dials.flatMap((offered, i) => (offered ? [] : [i]));
  assert.deepEqual(plain, [6, 9, 12, 15, 18], "three attempts failed, then two in each look");
  assert.ok(
    sockets.every(({ readyState }) => readyState !== 1),
    "no connection is left",
  );
});

test("a sidecar that is back before five looks has the session", async () => {
  const fails = (count: number) => Array<"fails">(count).fill("fails");
  const { dials, sockets, webSocket } = network("wsr.v1", ...fails(5), "", ...fails(2), "", "wsr.v1", "");
  const socket = new ResilientWebSocket("ws://k.test/", [], { webSocket, ...QUICK });
  await until(() => socket.readyState === 1, "open");
  for (let i = 1; i <= 4; i++) socket.send(`${i}`);
  sockets[0]!.breaks();
  await until(() => socket.state === "connected", "resumed");
  assert.equal(dials.length, 11);
  sockets.at(-1)!.breaks();
  // Those before count no more.
  await until(() => dials.slice(11).filter((offered) => !offered).length === 5, "five looks again");
  await until(() => socket.readyState === 3, "closed");
});

test("a server that is down is looked at without our subprotocols at each fourth attempt, and is waited for", async () => {
  const { dials, sockets, webSocket } = network("wsr.v1", "fails");
  const socket = new ResilientWebSocket("ws://l.test/", [], { webSocket, ...QUICK });
  await until(() => socket.readyState === 1, "open");
  sockets[0]!.breaks();
  await until(() => dials.length >= 13, "two looks");
  assert.deepEqual(
    dials.flatMap((offered, i) => (offered ? [] : [i])),
    [6, 12],
  );
  assert.equal(socket.readyState, 1);
  socket.close();
});

test("each dial asks for its own URL", async () => {
  const { dials, webSocket } = network("");
  let tickets = 0;
  const socket = new ResilientWebSocket(async () => `ws://c.test/?${++tickets}`, ["chat"], { webSocket });
  socket.onclose = () => {};
  await until(() => tickets === 3, "three dials");
  await sleep(0);
  assert.deepEqual(dials, ["?1 chat wsr.v1", "?2 chat wsr.v1", "?3 chat"]);
});

test("what the page does to its array and its URL object later does not count", async () => {
  const { dials, sockets, webSocket } = network("fails", "wsr.v1", "fails");
  const url = new URL("ws://d.test/?1");
  const protocols = ["chat"];
  const socket = new ResilientWebSocket(url, protocols, { webSocket });
  url.search = "?2";
  protocols.push("wsr.v1");
  await until(() => socket.readyState === 1, "open");
  sockets[1]!.breaks();
  await until(() => dials.length > 2, "a resume");
  assert.match(dials.join(", "), /^\?1 chat wsr\.v1, \?1 chat wsr\.v1, \?1 chat wsr\.v1 wsr\.resume\.\S+$/);
  socket.close();
});

test("a transport that throws at a later dial is a failed attempt like any other", async () => {
  const { dials, sockets, webSocket } = network("wsr.v1", "throws", "throws", "fails");
  const socket = new ResilientWebSocket("ws://e.test/", [], { webSocket });
  await until(() => socket.readyState === 1, "open");
  sockets[0]!.breaks();
  await until(() => dials.length > 4, "more attempts");
  assert.equal(socket.readyState, 1);
  socket.close();
});

test("a browser that wrongly says that it is offline slows the dials and does not end them", async () => {
  const { dials, sockets, webSocket } = network("wsr.v1", "fails");
  const socket = new ResilientWebSocket("ws://f.test/", [], { webSocket });
  await until(() => socket.readyState === 1, "open");
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { onLine: false }, configurable: true });
  try {
    const began = Date.now();
    sockets[0]!.breaks();
    await sleep(2000);
    assert.equal(dials.length, 1);
    await until(() => dials.length === 2, "a dial", 15_000);
    assert.ok(Date.now() - began > 9000, "not at once");
    socket.close(); // is not to wait
    await until(() => dials.length === 3, "another dial", 1000);
  } finally {
    if (before) {
      Object.defineProperty(globalThis, "navigator", before);
    } else {
      Reflect.deleteProperty(globalThis, "navigator");
    }
  }
});
