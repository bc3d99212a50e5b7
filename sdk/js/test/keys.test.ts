// What keys add to a session, seen from a sidecar: offers, KEY, OUTCOME, and sidecars that take none.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mock, test } from "node:test";
import { ResilientWebSocket } from "../src/index.ts";
import { keys } from "../src/keys.ts";
import { tabs } from "../src/share.ts";
import { encode, encodeAck, escapeData } from "../src/wire.ts";
import { encodeGoAway } from "./encode.ts";
import { acked, encoder, end, opened, outcome, said, welcome } from "./keyed.ts";
import { network } from "./network.ts";
import { until } from "./rig.ts";

test("offers with keys are those of the vectors", async () => {
  const file = new URL("../../../testdata/vectors/keys.json", import.meta.url);
  const all = JSON.parse(readFileSync(file, "utf8")) as {
    protocols?: string[];
    error?: true;
    fields: { app: string[]; keys: boolean };
  }[];
  const offers = all.filter(({ protocols, error }) => protocols && !error);
  assert.ok(offers.length > 2);
  for (const { protocols, fields } of offers) {
    const { dials, webSocket } = network("fails");
    const options = { webSocket, adopt: protocols!.includes("wsr.adopt") };
    new ResilientWebSocket("ws://k.test/", fields.app, fields.keys ? { ...options, keys: keys() } : options);
    assert.deepEqual(dials, [protocols!.join(" ")]);
  }
});

test("a key travels in front of its message, and again with it", async () => {
  const { socket, dials, connection, first } = await opened(welcome(1));
  const fates = [
    end(socket.deliver("a", { key: "k1" })),
    end(socket.deliver("b")),
    end(socket.deliver(encode(77), { key: "k2" })),
  ];
  await until(() => said(first.sent).length >= 5, "all is sent");
  assert.deepEqual(said(first.sent), ["KEY k1", "a", "b", "KEY k2", "escaped"]);
  first.says(encodeAck(1));
  first.breaks();
  const fate = end(socket.deliver("c", { key: "k3" }));
  const second = await connection(2);
  assert.match(dials[1]!, /^wsr wsr\.v1 wsr\.resume\.\w+\.0\.0\.1 wsr\.keys$/);
  assert.deepEqual(said(second.sent), [], "no KEY goes before WELCOME");
  second.says(welcome(1, { status: 1, inboundAck: 1 }));
  assert.deepEqual(said(second.sent), ["b", "KEY k2", "escaped", "KEY k3", "c"]);
  for (const [i, key] of ["k1", "k2", "k3"].entries()) {
    second.says(outcome(i, key));
  }
  second.says(encodeAck(4));
  assert.deepEqual(await Promise.all([...fates, fate]), ["first", "undefined", "repeated", "underway"]);
  socket.close();
});

test("outcomes are counted and acknowledged like messages, and the page does not hear them", async () => {
  const { socket, heard, connection, first } = await opened(welcome(1));
  const fate = end(socket.deliver("a", { key: "k" }));
  first.says(encodeGoAway(1, 0));
  const second = await connection(2);
  first.says(encoder.encode("one") as Uint8Array<ArrayBuffer>);
  first.says(outcome(0, "nobody waits for it"));
  first.says(outcome(200, "k"));
  // A message of the app's with the same bytes is one for the page.
  first.says(escapeData(outcome(0, "k")));
  assert.equal(await fate, "doubt");
  second.says(welcome(1, { status: 1, nextOutbound: 1, inboundAck: 1 }));
  await until(() => socket.state === "connected", "connected");
  // It replays from what was claimed when it was dialled.
  for (const message of [
    "one",
    outcome(0, "nobody waits for it"),
    outcome(200, "k"),
    escapeData(outcome(0, "k")),
    "two",
  ]) {
    second.says((typeof message === "string" ? encoder.encode(message) : message) as Uint8Array<ArrayBuffer>);
  }
  await until(() => acked(second.sent) === 5, "all is acknowledged");
  const bytes = (text: string) => `${encoder.encode(text)}`;
  assert.deepEqual(heard, [bytes("one"), `${outcome(0, "k")}`, bytes("two")]);
  socket.close();
});

test("of two messages with a key the first hears first", async () => {
  const { socket, first } = await opened(welcome(1));
  const fates = [end(socket.deliver("a", { key: "k" })), end(socket.deliver("b", { key: "k" }))];
  first.says(outcome(0, "k"));
  first.says(outcome(1, "k"));
  assert.deepEqual(await Promise.all(fates), ["first", "repeated"]);
  socket.close();
});

for (const [what, message] of [
  ["that is malformed", outcome(0, "")],
  ["that is too long", outcome(0, "k".repeat(65))],
] as const) {
  test(`an outcome ${what} is a violation`, async () => {
    const { socket, connection, first } = await opened(welcome(1));
    first.says(message);
    assert.equal(first.readyState, 3);
    await connection(2);
    socket.close();
  });
}

test("an outcome before WELCOME, or that nobody asked for, is a violation", async () => {
  const { socket, connection, first } = await opened(welcome(1));
  first.breaks();
  const second = await connection(2);
  second.says(outcome(0, "k"));
  assert.equal(second.readyState, 3);
  socket.close();
  const { sockets, webSocket } = network("wsr.v1");
  const without = new ResilientWebSocket("ws://k.test/", [], { webSocket });
  await until(() => without.readyState === 1, "open");
  sockets[0]!.says(outcome(0, "k"));
  assert.equal(sockets[0]!.readyState, 3);
  without.close();
});

for (const [who, options] of [
  ["a sidecar without rules", 0],
  ["an older sidecar", null],
] as const) {
  test(`${who} takes no keys, and nothing is sent`, async () => {
    const { socket, first } = await opened(welcome(options));
    assert.equal(await end(socket.deliver("a", { key: "k" })), "NotSupportedError");
    socket.send("b");
    assert.deepEqual(said(first.sent), ["b"]);
    socket.close();
  });

  test(`where a session goes on at ${who}, what is left is delivered without its key`, async () => {
    const { socket, connection, first } = await opened(welcome(1));
    const taken = end(socket.deliver("a", { key: "k1" }));
    const left = end(socket.deliver("b", { key: "k2" }));
    first.says(encodeAck(1));
    first.breaks();
    const second = await connection(2);
    second.says(welcome(options, { status: 1, inboundAck: 1 }));
    assert.deepEqual(said(second.sent), ["b"]);
    assert.equal(await taken, "AbortError");
    second.says(encodeAck(2));
    assert.equal(await left, "NotSupportedError");
    socket.close();
  });
}

test("without a sidecar no keys are taken, and messages are nothing but messages", async () => {
  const logger = { info() {}, warn() {} };
  const { socket, heard, first } = await opened(welcome(1), { logger }, "chat");
  assert.equal(socket.resilient, false);
  assert.equal(await end(socket.deliver("a", { key: "k" })), "NotSupportedError");
  await socket.deliver("b");
  assert.deepEqual(said(first.sent), ["b"]);
  for (const message of [welcome(1), outcome(0, "k")]) {
    first.says(message);
  }
  await until(() => heard.length === 2, "the page hears both");
  assert.deepEqual(heard, [`${welcome(1)}`, `${outcome(0, "k")}`]);
  socket.close();
});

test("what was acknowledged by an owner that is gone is not waited for longer than its journal needs", async () => {
  const { socket, connection, first } = await opened(welcome(1), { adopt: () => {} });
  const fates = [end(socket.deliver("a", { key: "k1" })), end(socket.deliver("b", { key: "k2" }))];
  first.says(encodeAck(2));
  first.breaks();
  const second = await connection(2);
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    second.says(welcome(1, { status: 2, reason: 2, epoch: 2, inboundAck: 2 }));
    second.says(outcome(0, "k2"));
    assert.equal(await fates[1], "first");
    mock.timers.tick(2000);
    assert.equal(await fates[0], "AbortError");
  } finally {
    mock.timers.reset();
  }
  socket.close();
});

test("what has a key is no part of what restores the app's context", async () => {
  const { socket, connection, first } = await opened(welcome(1), { adopt: true });
  let fate: Promise<string> | undefined;
  socket.onadopted = () => {
    socket.send("login");
    fate = end(socket.deliver("order", { key: "k" }));
  };
  first.breaks();
  const second = await connection(2);
  second.says(welcome(1, { status: 2, reason: 3, epoch: 2 }));
  await until(() => said(second.sent).includes("order"), "the message is sent");
  assert.deepEqual(
    said(second.sent).filter((what) => what !== "SKIPPED"),
    ["restore", "restored", "KEY k", "order"],
  );
  second.says(outcome(0, "k"));
  assert.equal(await fate, "first");
  socket.close();
});

test("the end of a session ends what waits", async () => {
  const { socket, first } = await opened(welcome(1));
  const fates = [end(socket.deliver("a", { key: "k1" })), end(socket.deliver("b", { key: "k2" }))];
  first.says(encodeAck(1));
  first.breaks(4409);
  assert.deepEqual(await Promise.all(fates), ["AbortError", "AbortError"]);
});

test("keys exclude what does not keep them", () => {
  const { webSocket } = network("silent");
  assert.throws(
    () => new ResilientWebSocket("ws://k.test/", [], { webSocket, keys: keys(), share: tabs("k") }),
    /exclude each other/,
  );
});

test("a key without the option is refused", async () => {
  const { socket, first } = await opened(welcome(null), { keys: undefined as never });
  assert.equal(await end(socket.deliver("a", { key: "k" })), "NotSupportedError");
  assert.deepEqual(said(first.sent), []);
  socket.close();
});
