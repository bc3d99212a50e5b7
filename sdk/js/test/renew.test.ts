// Sessions with keys that are lost, and go on in another one; and messages that are kept with their keys.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { keys } from "../src/keys.ts";
import type { Options } from "../src/options.ts";
import { customStore, type SavedMessage, type Store } from "../src/persist.ts";
import { ResilientWebSocket } from "../src/resilient-websocket.ts";
import { encodeAck } from "../src/wire.ts";
import { encodeReset } from "./encode.ts";
import { end, opened, outcome, said, welcome } from "./keyed.ts";
import { network } from "./network.ts";
import { until } from "./rig.ts";

const RENEW: Options = { keys: keys({ renew: true }) };

/** Names of the events that a socket fires from now on, and what they say. */
function events(socket: ResilientWebSocket): string[] {
  const heard: string[] = [];
  socket.addEventListener("adopted", ({ reason }) => heard.push(`adopted ${reason}`));
  socket.addEventListener("reset", ({ reason, unacknowledged }) =>
    heard.push(`reset ${reason} ${unacknowledged.map(({ data, sent }) => `${data}:${sent}`)}`),
  );
  for (const type of ["open", "resumed", "close"]) {
    socket.addEventListener(type, () => heard.push(type));
  }
  return heard;
}

/** A socket whose session is lost with two messages that nobody knows the fate of. */
async function losing(options: Options = RENEW, reason = 1) {
  const all = await opened(welcome(1), options);
  const { socket, connection, first } = all;
  const heard = events(socket);
  const fates = [end(socket.deliver("a", { key: "k1" })), end(socket.deliver("b", { key: "k2" }))];
  await until(() => said(first.sent).includes("b"), "both are sent");
  first.breaks();
  (await connection(2)).says(encodeReset(reason));
  return { ...all, heard, fates };
}

for (const [reason, what] of ["unknown", "token", "lost"].entries()) {
  test(`what a session that is lost (${what}) leaves is sent again in another, with its keys`, async () => {
    const { socket, dials, connection, heard, fates } = await losing(RENEW, reason + 1);
    const third = await connection(3);
    assert.equal(dials[2], "wsr wsr.v1 wsr.keys", "a new session");
    const later = end(socket.deliver("c", { key: "k3" }));
    socket.send("d");
    assert.deepEqual(said(third.sent), []);
    third.says(welcome(1));
    assert.deepEqual(said(third.sent), ["KEY k1", "a", "KEY k2", "b", "KEY k3", "c", "d"]);
    for (const [i, key] of ["k1", "k2", "k3"].entries()) {
      third.says(outcome(i ? 0 : 1, key));
    }
    third.says(encodeAck(4));
    assert.deepEqual(await Promise.all([...fates, later]), ["repeated", "first", "first"]);
    assert.deepEqual(heard, ["adopted renewed"]);
    socket.close();
  });
}

test("what the page sends in the moment of the loss goes behind what is sent again", async () => {
  const { socket, connection, first } = await opened(welcome(1), RENEW);
  const heard = events(socket);
  void end(socket.deliver("a", { key: "k1" }));
  void end(socket.deliver("b", { key: "k2" }));
  await until(() => said(first.sent).includes("b"), "both are sent");
  first.breaks();
  socket.addEventListener("connectfailed", () => socket.send("now"), { once: true });
  (await connection(2)).says(encodeReset(1));
  const third = await connection(3);
  third.says(welcome(1));
  assert.deepEqual(said(third.sent), ["KEY k1", "a", "KEY k2", "b", "now"]);
  third.says(outcome(0, "k1"));
  third.says(outcome(0, "k2"));
  third.says(encodeAck(3));
  third.breaks();
  (await connection(4)).says(encodeReset(1)); // with nothing that is not acknowledged
  (await connection(5)).says(welcome(1));
  await until(() => heard.length === 2, "it is renewed again");
  assert.deepEqual(heard, ["adopted renewed", "adopted renewed"]);
  socket.close();
});

for (const [what, prepare] of [
  ["a message without a key", (socket: ResilientWebSocket) => socket.send("plain")],
  ["a delivery without a key", (socket: ResilientWebSocket) => void end(socket.deliver("plain"))],
] as const) {
  test(`${what} that is left has the session lost as ever`, async () => {
    const { socket, connection, first } = await opened(welcome(1), RENEW);
    const heard = events(socket);
    const fate = end(socket.deliver("a", { key: "k" }));
    prepare(socket);
    await until(() => said(first.sent).includes("plain"), "both are sent");
    first.breaks();
    (await connection(2)).says(encodeReset(1));
    assert.equal(await fate, "AbortError");
    assert.deepEqual(heard, ["reset unknown a:true,plain:true", "close"]);
  });
}

test("what is not asked for is not done", async () => {
  const { heard, fates } = await losing({ keys: keys() });
  assert.deepEqual(await Promise.all(fates), ["AbortError", "AbortError"]);
  assert.deepEqual(heard, ["reset unknown a:true,b:true", "close"]);
});

test("a client that may not is told so", async () => {
  const { heard, fates } = await losing(RENEW, 4);
  assert.deepEqual(await Promise.all(fates), ["AbortError", "AbortError"]);
  assert.deepEqual(heard, ["reset unauthorised a:true,b:true", "close"]);
});

for (const [who, options] of [
  ["a sidecar without rules", 0],
  ["an older sidecar", null],
] as const) {
  test(`${who} gets none of it`, async () => {
    const { socket, connection, heard, fates } = await losing();
    const third = await connection(3);
    third.says(welcome(options));
    assert.deepEqual(await Promise.all(fates), ["AbortError", "AbortError"]);
    assert.deepEqual(heard, ["reset unknown a:true,b:true", "close"]);
    assert.deepEqual(said(third.sent), []);
    assert.equal(socket.readyState, 3);
  });
}

test("with newSessionAfterReset a sidecar without rules gets what the page sends anew", async () => {
  const { socket, connection, heard, fates } = await losing({ ...RENEW, newSessionAfterReset: true });
  (await connection(3)).says(welcome(0));
  assert.deepEqual(await Promise.all(fates), ["AbortError", "AbortError"]);
  socket.send("anew");
  const fourth = await connection(4);
  fourth.says(welcome(0));
  assert.deepEqual(said(fourth.sent), ["anew"]);
  assert.deepEqual(heard, ["reset unknown a:true,b:true"]);
  socket.close();
});

test("a server without a sidecar gets none of it, and is tried again", async () => {
  const { dials, sockets, webSocket } = network("silent", "silent", "chat", "chat", "", "silent");
  const settings = { webSocket, reconnectDelay: 1, maxReconnectDelay: 1, ...RENEW };
  const socket = new ResilientWebSocket("ws://k.test/", ["chat"], settings);
  const connection = async (n: number) => {
    await until(() => sockets[n - 1]?.readyState === 1, `connection ${n}`);
    return sockets[n - 1]!;
  };
  (await connection(1)).says(welcome(1, { subprotocol: "chat" }));
  await until(() => socket.readyState === 1, "open");
  const fate = end(socket.deliver("a", { key: "k" }));
  sockets[0]!.breaks();
  (await connection(2)).says(encodeReset(1));
  await until(() => dials.length >= 6, "it is tried again");
  const last = await connection(6);
  assert.equal(last.protocol, "wsr.v1");
  last.says(welcome(1, { subprotocol: "chat" }));
  last.says(outcome(0, "k"));
  assert.equal(await fate, "first");
  assert.deepEqual(
    sockets.slice(2, 5).flatMap(({ sent }) => sent),
    [],
  );
  socket.close();
});

test("what was acknowledged and has no outcome is not sent again: nobody has it any more", async () => {
  const { socket, connection, first } = await opened(welcome(1), RENEW);
  const fates = [end(socket.deliver("a", { key: "k1" })), end(socket.deliver("b", { key: "k2" }))];
  first.says(encodeAck(1));
  first.breaks();
  (await connection(2)).says(encodeReset(3));
  const third = await connection(3);
  assert.equal(await fates[0], "AbortError");
  third.says(welcome(1));
  assert.deepEqual(said(third.sent), ["KEY k2", "b"]);
  third.says(outcome(0, "k2"));
  assert.equal(await fates[1], "first");
  socket.close();
});

test("another session is not looked for for ever", async () => {
  const { socket, connection, first } = await opened(welcome(1), RENEW);
  const heard = events(socket);
  const fate = end(socket.deliver("a", { key: "k" }));
  first.breaks();
  const second = await connection(2);
  const start = performance.now();
  let passed = 0;
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(performance, "now", () => start + passed);
  const pass = (ms: number) => {
    passed += ms;
    mock.timers.tick(ms);
    mock.timers.tick(1); // each step is a task of its own
    mock.timers.tick(1);
  };
  try {
    second.says(encodeReset(3));
    pass(299_990);
    assert.deepEqual(heard, []);
    pass(10_000); // as long as a connection that says no WELCOME may take
    pass(10_000);
    assert.equal(await fate, "AbortError");
    assert.deepEqual(heard, ["reset lost a:true", "close"]);
  } finally {
    mock.timers.reset();
    mock.restoreAll();
  }
});

test("what may have been delivered in a session before the last one is told as sent", async () => {
  const { socket, connection, heard } = await losing();
  const third = await connection(3);
  third.says(welcome(1, { window: 1 })); // one at a time
  assert.deepEqual(said(third.sent), ["KEY k1", "a"]);
  void end(socket.deliver("c", { key: "k3" }));
  third.says(encodeAck(1));
  socket.send("d");
  third.breaks();
  (await connection(4)).says(encodeReset(1));
  await until(() => heard.includes("close"), "the end");
  assert.deepEqual(heard, ["adopted renewed", "reset unknown b:true,c:false,d:false", "close"]);
});

// What is kept on disk.

/** A store in memory, as of the page before this one. */
function store(kept: SavedMessage[]) {
  const saved = {
    ...{ token: "kept", dials: 0, epoch: 1, received: 0, acked: 4, shift: 0, protocol: "" },
    expires: Date.now() + 60_000,
  };
  const messages = new Map(kept.map((message) => [message.position, message]));
  const place: Store = {
    restored: { saved, messages: kept },
    put: (message) => void messages.set(message.position, message),
    save: ({ acked }) => {
      for (const position of messages.keys()) {
        if (position <= acked) {
          messages.delete(position);
        }
      }
      return Promise.resolve();
    },
    clear: () => messages.clear(),
    close: () => Promise.resolve(),
  };
  return { messages, persist: customStore(() => place) };
}

const KEPT: SavedMessage[] = [
  { position: 5, data: "a", key: "k1" },
  { position: 6, data: "b", key: "ö" },
];

/** A page that goes on with what is kept. */
function reloaded(kept: SavedMessage[] = KEPT, options: Options = RENEW) {
  const { messages, persist } = store(kept);
  const { dials, sockets, webSocket } = network("silent");
  const settings = { webSocket, reconnectDelay: 1, maxReconnectDelay: 1, persist, ...options };
  const socket = new ResilientWebSocket("ws://k.test/", [], settings);
  const connection = async (n: number) => {
    await until(() => sockets[n - 1]?.readyState === 1, `connection ${n}`);
    return sockets[n - 1]!;
  };
  return { socket, dials, messages, connection, heard: events(socket) };
}

test("what a page leaves goes on with its keys after a reload", async () => {
  const { socket, dials, messages, connection, heard } = reloaded();
  const first = await connection(1);
  assert.match(dials[0]!, /^wsr wsr\.v1 wsr\.resume\.kept\.0\.0\.\d+ wsr\.keys$/);
  first.says(welcome(1, { status: 1, inboundAck: 5 }));
  await until(() => said(first.sent).includes("b"), "what is left is sent");
  assert.deepEqual(said(first.sent), ["KEY ö", "b"]);
  first.says(outcome(0, "ö"));
  first.says(encodeAck(6));
  const fate = end(socket.deliver("c", { key: "k3" }));
  socket.send("d");
  await until(() => messages.size === 2, "what was acknowledged is forgotten");
  assert.deepEqual(
    [...messages.values()],
    [
      { position: 7, data: "c", key: "k3" },
      { position: 8, data: "d" },
    ],
  );
  first.says(outcome(0, "k3"));
  assert.equal(await fate, "first");
  assert.deepEqual(heard, ["open", "resumed"]);
  socket.close();
});

test("what a page leaves goes on in another session if its own is lost", async () => {
  const { socket, dials, messages, connection, heard } = reloaded();
  (await connection(1)).says(encodeReset(1));
  const second = await connection(2);
  assert.equal(dials[1], "wsr wsr.v1 wsr.keys");
  second.says(welcome(1));
  await until(() => said(second.sent).includes("b"), "what is left is sent");
  assert.deepEqual(said(second.sent), ["KEY k1", "a", "KEY ö", "b"]);
  assert.deepEqual(
    [...messages.values()].map(({ data, key }) => `${data} ${key}`),
    ["a k1", "b ö"],
  );
  assert.deepEqual(heard, ["open"]);
  socket.close();
});

test("a message without a key among what a page leaves has the session lost as ever", async () => {
  const { socket, connection, heard } = reloaded([KEPT[0]!, { position: 6, data: "plain" }]);
  (await connection(1)).says(encodeReset(1));
  const second = await connection(2);
  second.says(welcome(1));
  await until(() => socket.readyState === 1, "open");
  assert.deepEqual(said(second.sent), []);
  assert.deepEqual(heard, ["reset unknown a:true,plain:true", "open"]);
  socket.close();
});

test("a page that has no keys any more delivers what is left without them", async () => {
  const { socket, connection } = reloaded(KEPT, {});
  const first = await connection(1);
  first.says(welcome(null, { status: 1, inboundAck: 4 }));
  await until(() => said(first.sent).includes("b"), "what is left is sent");
  assert.deepEqual(said(first.sent), ["a", "b"]);
  socket.close();
});
