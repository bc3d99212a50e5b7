// What the wire carries besides the app's messages: next to nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "../rig/client.ts";
import { type Frame, Frames } from "../rig/frames.ts";
import { type Direction, type Rig, startRig, until } from "../rig.ts";

const MESSAGES = 1_000;

/** Bytes of an ACK with its frame, masked. */
const ACK = 2 + 4 + 9;

/** Bytes of a HEARTBEAT or its answer with its frame, masked. */
const BEAT = 2 + 4 + 26;

/** The least messages per ACK while they follow each other fast (PROTOCOL §5.1 demands one per 32). */
const PER_ACK = 16;

/** Reads what passes through a rig's proxy from now on. */
function observe(rig: Rig): Record<Direction, { frames: Frame[]; reader: Frames }> {
  const one = () => {
    const frames: Frame[] = [];
    return { frames, reader: new Frames((frame) => frames.push(frame)) };
  };
  const seen = { up: one(), down: one() };
  rig.proxy.tap = (direction, bytes) => seen[direction].reader.take(bytes);
  return seen;
}

const text = (n: number) => `message ${n}`.padEnd(100, ".");

test("a message costs its frame and nothing more, and the rest is bounded", async () => {
  const rig = await startRig({ app: {} });
  try {
    const seen = observe(rig);
    const client = await open(rig);
    const begin = performance.now();
    for (let n = 0; n < MESSAGES; n++) {
      client.socket.send(text(n));
      rig.app.socket.send(text(n));
    }
    await client.has(MESSAGES);
    await client.delivered();
    const beats = 2 + (performance.now() - begin) / 250; // WSR_HEARTBEAT_MIN of the rig
    for (const [direction, mask] of [
      ["up", 4],
      ["down", 0],
    ] as const) {
      const { frames, reader } = seen[direction];
      const data = frames.filter((frame) => !frame.control);
      const sum = data.reduce((total, frame) => total + frame.size, 0);
      assert.equal(data.length, MESSAGES, direction);
      assert.equal(sum, MESSAGES * (2 + mask + 100), `${direction}: bytes of data`);
      const rest = reader.total - reader.head - sum;
      const welcome = direction === "down" ? 600 : ACK;
      const bound = welcome + (MESSAGES / PER_ACK) * ACK + beats * 2 * BEAT;
      assert.ok(rest < bound, `${direction}: ${rest} bytes besides data, at most ${bound} are expected`);
    }
  } finally {
    await rig.close();
  }
});

test("after a resume the first missed message comes without a word from the page", async () => {
  const rig = await startRig({ app: {} });
  try {
    const client = await open(rig);
    await client.socket.deliver("hello");
    await rig.proxy.down(true);
    rig.proxy.cut();
    await client.is("reconnecting");
    rig.app.socket.send("missed");
    let before = -1;
    const up = new Frames(() => {});
    const down = new Frames(({ opcode }) => {
      if (opcode === 1 && before < 0) before = up.total - up.head;
    });
    rig.proxy.tap = (direction, bytes) => (direction === "up" ? up : down).take(bytes);
    await rig.proxy.down(false);
    await client.has(1);
    assert.deepEqual(client.received, ["missed"]);
    assert.equal(before, 0, "bytes that the page sent after its handshake and before the missed message");
    await until(() => up.total > up.head, "its acknowledgement follows");
  } finally {
    await rig.close();
  }
});
