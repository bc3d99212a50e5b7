// Sessions that are lost: the page is told what, and what is missing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { decode, TYPE } from "../../src/wire.ts";
import { open } from "../rig/client.ts";
import { Frames } from "../rig/frames.ts";
import { type Rig, type RigOptions, sleep, startRig, until } from "../rig.ts";

async function withRig(options: RigOptions, body: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = await startRig({ app: {}, ...options });
  try {
    await body(rig);
  } finally {
    await rig.close();
  }
}

/** Settings of a sidecar that forgets sessions soon. */
const FORGETFUL = { WSR_SESSION_TTL: "1s", WSR_SESSION_TTL_GOING_AWAY: "1s" };

test("a session that waited too long is lost, and the page is told what never arrived", () =>
  withRig({ environment: FORGETFUL }, async (rig) => {
    const client = await open(rig);
    await client.socket.deliver("arrived");
    await rig.proxy.down(true);
    rig.proxy.cut();
    await client.is("reconnecting");
    client.socket.send("never");
    const delivered = client.socket.deliver("neither");
    await assert.rejects(delivered, { name: "AbortError" });
    const { code, wasClean } = await client.ended();
    assert.deepEqual({ code, wasClean }, { code: 4410, wasClean: false });
    assert.deepEqual(client.events, ["open", "reset", "error", "close"]);
    const [reset] = client.resets;
    assert.equal(reset!.reason, "expired");
    assert.deepEqual(reset!.unacknowledged, [
      { data: "never", sent: false },
      { data: "neither", sent: false },
    ]);
  }));

/** RESET 5 (try again), as it travels to a client: unmasked, in one frame. */
const TRY_AGAIN = Buffer.from([0xff, 0x57, 0x53, 0x52, 0x07, 0x05]);

test("while the sidecar cannot tell, the client tries again and loses nothing; told no, it stops", () =>
  withRig({ environment: { WSR_RESUME_AUTH: "/auth" } }, async (rig) => {
    const client = await open(rig);
    let told = 0;
    rig.proxy.tap = (direction, bytes) => {
      if (direction === "down" && bytes.includes(TRY_AGAIN)) told++;
    };
    rig.app.options.status = 503;
    rig.proxy.cut();
    await client.is("reconnecting");
    client.socket.send("kept");
    await until(() => told >= 3, "the sidecar says try again");
    assert.equal(client.socket.state, "reconnecting");
    rig.app.options.status = 204;
    await client.is("connected");
    await client.delivered();
    assert.deepEqual(rig.app.received, ["kept"]);
    assert.deepEqual(client.events, ["open", "resumed"]);

    rig.app.options.status = 401;
    rig.proxy.cut();
    assert.equal((await client.ended()).code, 4410);
    assert.deepEqual(
      client.resets.map((event) => event.reason),
      ["unauthorised"],
    );
  }));

test("newSessionAfterReset begins a new session after a reset", () =>
  withRig({}, (other) =>
    withRig({}, async (rig) => {
      const client = await open(rig, { newSessionAfterReset: true });
      const { sessionId } = client.socket;
      await rig.proxy.down(true);
      rig.proxy.cut();
      await client.is("reconnecting");
      client.socket.send("lost");
      rig.proxy.target = other.sidecar.port; // it has another key: the token means nothing to it
      await rig.proxy.down(false);
      await client.is("connected");
      assert.deepEqual(
        client.resets.map((event) => event.reason),
        ["token"],
      );
      // It left with the handshake that was refused.
      assert.deepEqual(client.resets[0]!.unacknowledged, [{ data: "lost", sent: true }]);
      assert.notEqual(client.socket.sessionId, sessionId);
      await client.socket.deliver("found");
      other.app.socket.send("hello");
      await client.has(1);
      assert.deepEqual(other.app.received, ["found"]);
      assert.equal(client.closed, null);
    }),
  ));

test("who else holds the token has the session, and there is no fight for it", () =>
  withRig({}, async (rig) => {
    let token = "";
    const frames = new Frames((frame) => {
      const message = frame.control ? decode(frame.payload) : null;
      if (message?.type === TYPE.welcome) token = message.token;
    });
    rig.proxy.tap = (direction, bytes) => {
      if (direction === "down") frames.take(bytes);
    };
    const client = await open(rig);
    await client.socket.deliver("mine");
    rig.proxy.tap = null;
    const thief = new WebSocket(rig.url, ["wsr", "wsr.v1", `wsr.resume.${token}.0.0`]);
    const { code } = await client.ended();
    assert.equal(code, 4409);
    assert.deepEqual(
      client.resets.map((event) => event.reason),
      ["superseded"],
    );
    const { accepted } = rig.proxy;
    await until(() => thief.readyState === WebSocket.OPEN, "the other has the session");
    await sleep(500); // longer than any wait between two dials
    assert.equal(rig.proxy.accepted, accepted);
    thief.terminate();
  }));
