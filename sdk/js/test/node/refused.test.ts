// Messages that end connections (PROTOCOL §9.1), over real sockets.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import type { RejectedEvent } from "../../src/index.ts";
import { open } from "../rig/client.ts";
import { startGateway } from "../rig/gateway.ts";
import { echo, type Rig, startRig, until } from "../rig.ts";

let rig: Rig;
before(async () => {
  rig = await startRig({ app: echo, environment: { WSR_MAX_MESSAGE: "4KiB" } });
});
after(() => rig.close());

/** A `ws` that takes no message above a limit, and counts its dials. */
function limited(maxPayload: number) {
  class Limited extends WebSocket {
    static dials = 0;
    constructor(url: string, protocols?: string[]) {
      super(url, protocols, { maxPayload });
      Limited.dials++;
    }
  }
  return Limited;
}

test("text of the app that is not UTF-8 ends the session with 1007, after what came before it", async () => {
  const webSocket = limited(0);
  const client = await open(rig, { webSocket });
  rig.app.socket.send("before");
  rig.app.socket.ws.send(Buffer.from("c328", "hex"), { binary: false });
  rig.app.socket.send("behind");
  const { code } = await client.ended();
  assert.equal(code, 1007);
  assert.deepEqual(client.received, ["before"]);
  // The first may end with `before` unacknowledged, then two end at the same message, and one is told.
  assert.ok(webSocket.dials <= 4, `${webSocket.dials} dials`);
  await until(() => rig.app.socket.closed?.code === 1007, "the app hears 1007 too");
});

test("a message of the app that the client's WebSocket does not take ends the session with 1009", async () => {
  const webSocket = limited(1000);
  const client = await open(rig, { webSocket });
  rig.app.socket.send("before");
  rig.app.socket.send("x".repeat(1001));
  const { code } = await client.ended();
  assert.equal(code, 1009);
  assert.deepEqual(client.received, ["before"]);
  assert.ok(webSocket.dials <= 5, `${webSocket.dials} dials`);
  await until(() => rig.app.socket.closed?.code === 1009, "the app hears 1009 too");
});

test("what an escape adds does not count against the limit", async () => {
  const client = await open(rig);
  const message = new Uint8Array(4096);
  message.set([0xff, 0x57, 0x53, 0x52]);
  client.socket.send(message);
  await client.has(1);
  await client.delivered();
  assert.equal(rig.app.socket.received.length, 1);
});

test("a message of the app above WSR_MAX_MESSAGE ends the session with 1009", async () => {
  const client = await open(rig);
  rig.app.socket.send("x".repeat(4097));
  const { code } = await client.ended();
  assert.equal(code, 1009);
});

test("a message that a gateway does not take is told, and what is behind it arrives", async () => {
  const gateway = await startGateway(rig.url, 1000);
  try {
    const client = await open(rig, {}, [], gateway.url);
    const rejected: RejectedEvent[] = [];
    client.socket.onrejected = (event) => rejected.push(event);
    client.socket.send("before");
    const large = "x".repeat(1001);
    const delivery = client.socket.deliver(large);
    client.socket.send("behind");
    await assert.rejects(delivery, { name: "DataError", message: /rejected with 1009/ });
    await client.delivered();
    assert.deepEqual(
      rejected.map(({ data, code }) => [data, code]),
      [[large, 1009]],
    );
    await client.has(2);
    assert.deepEqual(client.received, ["before", "behind"]);
    assert.equal(gateway.dials, 3);
    client.socket.send("later");
    await client.has(3);
    assert.equal(client.socket.readyState, 1);
  } finally {
    await gateway.close();
  }
});
