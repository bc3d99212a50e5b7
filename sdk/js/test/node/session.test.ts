// The life of a session: sends while it is away, its bounds, its ends.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { ResilientWebSocket } from "../../src/index.ts";
import { Client, open } from "../rig/client.ts";
import { echo, type Rig, sleep, startRig, until } from "../rig.ts";

let rig: Rig;
before(async () => {
  rig = await startRig();
});
after(() => rig.close());

/** Opens a client; returns it with the app's end. */
async function pair(...[options]: [options?: ConstructorParameters<typeof Client>[1]]) {
  const client = await open(rig, options);
  return { client, app: rig.app.socket };
}

test("deliver resolves when the app has the message", async () => {
  const { client, app } = await pair();
  await client.socket.deliver("first");
  assert.deepEqual(app.received, ["first"]);
  await client.has(1); // its echo, which a cut may take away
  await rig.proxy.down(true);
  rig.proxy.cut();
  await client.is("reconnecting");
  let delivered = false;
  const second = client.socket.deliver("second").then(() => {
    delivered = true;
  });
  await sleep(300); // longer than any wait between two dials
  assert.equal(delivered, false);
  await rig.proxy.down(false);
  await second;
  assert.deepEqual(app.received, ["first", "second"]);
});

test("blobs keep their place among other messages", async () => {
  const { client, app } = await pair();
  client.socket.send("a");
  client.socket.send(new Blob(["b", "c"]));
  client.socket.send("d");
  client.socket.send(new Blob([]));
  client.socket.send(new Uint8Array([7]));
  await client.delivered();
  assert.deepEqual(app.received, ["a", Buffer.from("bc"), "d", Buffer.alloc(0), Buffer.from([7])]);
});

test("bufferedAmount is what no transport has, unacknowledged what the app has not", async () => {
  const { client, app } = await pair();
  assert.deepEqual([client.socket.bufferedAmount, client.socket.unacknowledged], [0, 0]);
  rig.proxy.silence();
  client.socket.send("é23");
  await until(() => client.socket.bufferedAmount === 0, "the transport takes it");
  assert.equal(client.socket.unacknowledged, 4);
  await client.is("reconnecting");
  client.socket.send("five5");
  assert.deepEqual([client.socket.bufferedAmount, client.socket.unacknowledged], [5, 9]);
  rig.proxy.heal();
  await client.delivered();
  assert.equal(client.socket.bufferedAmount, 0);
  assert.deepEqual(app.received, ["é23", "five5"]);
});

test("the outbox has bounds, and says so", async () => {
  const { client, app } = await pair({ outboxMessages: 3, outboxBytes: 10 });
  await rig.proxy.down(true);
  rig.proxy.cut();
  await client.is("reconnecting");
  for (const text of ["1", "2", "3"]) client.socket.send(text);
  const full = { name: "QuotaExceededError" };
  assert.throws(() => client.socket.send("4"), full);
  await assert.rejects(client.socket.deliver("4"), full);
  await rig.proxy.down(false);
  await client.delivered();
  client.socket.send("0123456789");
  assert.throws(() => client.socket.send("x"), full);
  await client.delivered();
  assert.deepEqual(app.received, ["1", "2", "3", "0123456789"]);
});

test("a message above what the sidecar takes is refused and spoils nothing", async () => {
  const { client } = await pair();
  assert.throws(() => client.socket.send(new Uint8Array((1 << 20) + 1)), { name: "QuotaExceededError" });
  client.socket.send("small");
  await client.has(1);
});

test("a close while away reaches the app after all that was said before", async () => {
  const { client, app } = await pair();
  await rig.proxy.down(true);
  rig.proxy.cut();
  await client.is("reconnecting");
  client.socket.send("last words");
  client.socket.close(3001, "bye");
  assert.equal(client.socket.readyState, 2);
  await rig.proxy.down(false);
  const { code, reason, wasClean } = await client.ended();
  assert.deepEqual({ code, reason, wasClean }, { code: 3001, reason: "bye", wasClean: true });
  assert.deepEqual(app.received, ["last words"]);
  await until(() => app.closed, "the app's close");
  assert.deepEqual(app.closed, { code: 3001, reason: "bye" });
});

test("a close on a connection that has died without a sign reaches the app", async () => {
  const { client, app } = await pair();
  rig.proxy.cut("half-server");
  client.socket.send("last words");
  client.socket.close(3001, "bye");
  const { code, reason, wasClean } = await client.ended();
  assert.deepEqual({ code, reason, wasClean }, { code: 3001, reason: "bye", wasClean: true });
  assert.deepEqual(app.received, ["last words"]);
});

test("what was sent right before a close is acknowledged", async () => {
  const { client, app } = await pair();
  const delivered = ["one", "two", "three"].map((text) => client.socket.deliver(text));
  client.socket.close();
  await Promise.all(delivered);
  assert.equal((await client.ended()).wasClean, true);
  assert.deepEqual(app.received, ["one", "two", "three"]);
});

test("an app's close while the client is away comes after all that it said before", async () => {
  const { client, app } = await pair();
  await rig.proxy.down(true);
  rig.proxy.cut();
  await client.is("reconnecting");
  app.send("last words");
  app.ws.close(4001, "enough");
  await until(() => app.closed, "the app's socket is closed");
  assert.equal(client.closed, null);
  await rig.proxy.down(false);
  const { code, reason, wasClean } = await client.ended();
  assert.deepEqual({ code, reason, wasClean }, { code: 4001, reason: "enough", wasClean: true });
  assert.deepEqual(client.received, ["last words"]);
  assert.deepEqual(client.events, ["open", "resumed", "close"]);
});

test("the app's subprotocol and the session's name are told", async () => {
  rig.app.options.protocols = (offered) => (offered.has("chat.v2") ? "chat.v2" : false);
  const client = await open(rig, {}, ["chat.v1", "chat.v2"]);
  assert.equal(client.socket.protocol, "chat.v2");
  assert.equal(client.socket.resilient, true);
  assert.match(client.socket.sessionId, /^[0-9a-f]{32}$/);
  assert.equal(
    rig.app.socket.request.headers["sec-websocket-protocol"]?.replaceAll(" ", ""),
    "chat.v1,chat.v2",
  );
  delete rig.app.options.protocols;
});

test("credentials are fresh at every dial", async () => {
  let dials = 0;
  const urls: string[] = [];
  class Spy extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      urls.push(new URL(url).search);
    }
  }
  const client = new ResilientWebSocket(
    async () => `${rig.url}?ticket=${++dials}`,
    () => ["chat"],
    { webSocket: Spy },
  );
  await until(() => client.state === "connected", "connected");
  assert.equal(rig.app.socket.request.url, "/?ticket=1");
  const resumed = new Promise((resolve) => client.addEventListener("resumed", resolve));
  rig.proxy.cut();
  await resumed;
  assert.deepEqual(urls.slice(0, 2), ["?ticket=1", "?ticket=2"]);
  assert.equal(client.protocol, "chat");
  client.close();
});

test("a refusal by the app is final, unless retryInitialConnect says otherwise", async () => {
  const shut = await startRig({ app: { refuse: 401 } });
  try {
    const once = new Client(shut);
    const { code, wasClean } = await once.ended();
    assert.deepEqual({ code, wasClean }, { code: 1006, wasClean: false });
    assert.deepEqual(once.events, ["error", "close"]);
    assert.ok(shut.proxy.accepted <= 3, "a second try, a third without our subprotocols, and no fourth");

    const patient = new Client(shut, { retryInitialConnect: true });
    await until(() => shut.proxy.accepted > 6, "more tries");
    assert.equal(patient.socket.state, "connecting");
    delete shut.app.options.refuse;
    await patient.is("connected");
    assert.deepEqual(patient.events, ["open"]);
  } finally {
    await shut.close();
  }
});

test("without a sidecar it is an ordinary WebSocket", async () => {
  const plain = await startRig({ sidecar: false, app: { ...echo, protocols: () => false } });
  try {
    const client = await open(plain);
    assert.deepEqual(
      [client.socket.resilient, client.socket.sessionId, client.socket.protocol],
      [false, "", ""],
    );
    await client.socket.deliver("hello");
    await client.has(1);
    assert.deepEqual(client.received, ["hello"]);
    plain.proxy.cut();
    const { code, wasClean } = await client.ended();
    assert.deepEqual({ code, wasClean }, { code: 1006, wasClean: false });
    assert.deepEqual(client.events, ["open", "error", "close"]);
    await open(plain);
    assert.equal(plain.proxy.accepted, 10, "each socket finds out for itself");
  } finally {
    await plain.close();
  }
});
