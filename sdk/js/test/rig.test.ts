// The rig itself: a fault that does not happen would make every other test meaningless.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { type Cut, type Rig, startRig, until } from "./rig.ts";

/** A plain client that keeps what it sees. */
class Client {
  readonly ws: WebSocket;
  readonly received: string[] = [];
  ended = "";
  constructor(url: string) {
    this.ws = new WebSocket(url);
    this.ws.on("message", (data) => this.received.push(data.toString()));
    this.ws.on("error", () => {});
    this.ws.on("close", (code) => {
      this.ended = String(code);
    });
  }
  get open(): boolean {
    return this.ws.readyState === WebSocket.OPEN;
  }
}

async function connected(rig: Rig): Promise<Client> {
  const client = new Client(rig.url);
  await until(() => client.open, "open");
  return client;
}

test("the fault proxy counts, cuts, holds and refuses", async () => {
  const rig = await startRig();
  try {
    const first = await connected(rig);
    first.ws.send("hello");
    await until(() => first.received.length === 1, "the echo");
    assert.deepEqual(rig.app.received, ["hello"]);
    assert.ok(rig.proxy.bytes.up > 100 && rig.proxy.bytes.down > 100);

    for (const how of ["rst", "fin", "half-client", "half-server"] satisfies Cut[]) {
      const client = await connected(rig);
      const socket = rig.app.socket;
      rig.proxy.cut(how);
      if (how === "half-server") await until(() => socket.closed, `${how}: the app is told`);
      else await until(() => client.ended, `${how}: the client is told`);
      if (how === "half-server") assert.ok(client.open);
      else if (how === "half-client") assert.equal(socket.closed, null);
    }

    const held = await connected(rig);
    rig.proxy.silence();
    held.ws.send("held");
    const late = new Client(rig.url);
    await assert.rejects(until(() => held.received.length > 0 || late.open, "an echo", 300));
    rig.proxy.heal();
    await until(() => held.received.length === 1 && late.open, "the held echo");

    await rig.proxy.down(true);
    const refused = new Client(rig.url);
    await until(() => refused.ended, "a refusal");
    assert.ok(held.open, "open connections stay");
    await rig.proxy.down("blackhole");
    const swallowed = new Client(rig.url);
    await assert.rejects(until(() => swallowed.open || swallowed.ended, "an answer", 300));
    await rig.proxy.down(false);
    await connected(rig);
    assert.equal(rig.proxy.swallowed, 1);
    swallowed.ws.terminate();
    await until(() => rig.proxy.swallowed === 0, "it is given up");
  } finally {
    await rig.close();
  }
});

test("a sidecar, an app and a journal start again where they were", async () => {
  const rig = await startRig({ pods: 2 });
  try {
    const { port } = rig.sidecar;
    await connected(rig);
    await rig.sidecar.restart();
    assert.equal(rig.sidecar.port, port);
    await rig.app.restart();
    await connected(rig);
    rig.proxy.target = rig.sidecars[1]!.port;
    await connected(rig);
    assert.equal(rig.app.sockets.length, 3);
  } finally {
    await rig.close();
  }
});
