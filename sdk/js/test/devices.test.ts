// What other devices on a session add to it, seen from a sidecar: offers, SHARED, and sidecars that know of none.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { devices } from "../src/devices.ts";
import { ResilientWebSocket } from "../src/index.ts";
import { keys } from "../src/keys.ts";
import { encode } from "../src/wire.ts";
import { acked, encoder, opened, welcome } from "./keyed.ts";
import { network } from "./network.ts";
import { until } from "./rig.ts";

/** A message of the app. */
const bytes = (text: string) => encoder.encode(text) as Uint8Array<ArrayBuffer>;
const members = (self: number, ...all: number[]) =>
  encode(13, 1, 0, 0, self, ...all.flatMap((member) => [0, member]));
const synchronised = (mode: number, messages: number, version: number) =>
  encode(13, 2, mode, 0, 0, 0, messages, 0, 0, 0, version);
const conflict = (seq: number, key: string, opcode: number, present: string) =>
  encode(13, 3, 0, 0, 0, seq, opcode, key.length, ...encoder.encode(key + present));

/** Opens a socket that hears of other devices, and what the page is told, in order. */
async function shared() {
  const all = await opened(welcome(2), { keys: undefined as never, share: devices() });
  const told: unknown[] = [];
  const { socket } = all;
  socket.addEventListener("joined", ({ member }) => void told.push(["joined", member]));
  socket.addEventListener("left", ({ member }) => void told.push(["left", member]));
  socket.addEventListener(
    "synchronised",
    ({ mode, messages, version }) => void told.push([mode, messages, version]),
  );
  socket.addEventListener("conflict", ({ message, key, present }) => void told.push([message, key, present]));
  socket.addEventListener(
    "message",
    ({ data }) => void told.push(new TextDecoder().decode(data as ArrayBuffer)),
  );
  return { ...all, told };
}

test("offers to share are those of the vectors", async () => {
  const file = new URL("../../../testdata/vectors/share.json", import.meta.url);
  const all = JSON.parse(readFileSync(file, "utf8")) as {
    protocols?: string[];
    error?: true;
    fields: { app: string[]; keys: boolean };
  }[];
  const offers = all.filter(({ protocols, error, fields }) => protocols && !error && !fields.keys);
  assert.ok(offers.length > 0);
  for (const { protocols, fields } of offers) {
    const { dials, webSocket } = network("fails");
    new ResilientWebSocket("ws://k.test/", fields.app, { webSocket, share: devices() });
    assert.deepEqual(dials, [protocols!.join(" ")]);
  }
});

test("the page hears who is there, and where among its messages it was synchronised", async () => {
  const { first, told, socket } = await shared();
  first.says(members(2, 1, 2));
  first.says(synchronised(1, 1, 7));
  first.says(bytes("state"));
  first.says(members(2, 2, 3));
  first.says(members(2, 2, 3));
  first.says(encode(13, 200, 1));
  first.says(conflict(4, "k", 1, "now"));
  first.says(conflict(5, "k", 0, ""));
  first.says(synchronised(0, 0, 9));
  first.says(bytes("last"));
  await until(() => told.at(-1) === "last", "all is told");
  assert.deepEqual(told, [
    ["joined", 1],
    ["full", 1, 7],
    "state",
    ["joined", 3],
    ["left", 1],
    [4, "k", "now"],
    [5, "k", undefined],
    ["log", 0, 9],
    "last",
  ]);
  await until(() => acked(first.sent) === 10, "all is acknowledged");
  socket.close();
});

test("what a cut takes away comes again, and is told once", async () => {
  const { first, told, socket, connection, dials } = await shared();
  first.says(members(1, 1, 2));
  await until(() => told.length > 0, "it is told");
  first.breaks();
  const second = await connection(2);
  assert.match(dials[1]!, /wsr\.resume\.\w+\.1\.\d+\.1 wsr\.share$/);
  second.says(welcome(2, { status: 1, nextOutbound: 2 }));
  second.says(members(1, 1, 2));
  second.says(bytes("one"));
  await until(() => told.at(-1) === "one", "all is told");
  assert.deepEqual(told, [["joined", 2], "one"]);
  socket.close();
});

for (const message of [members(1, 2, 1), synchronised(3, 0, 0), conflict(1, "", 8, ""), encode(13)]) {
  test(`SHARED that is malformed is a violation: ${message.subarray(5)}`, async () => {
    const { first, connection, socket } = await shared();
    first.says(message);
    assert.equal(first.readyState, 3);
    await connection(2);
    socket.close();
  });
}

test("a sidecar that knows of no sharing is none the worse", async () => {
  const { first, socket, heard } = await opened(welcome(null), {
    keys: undefined as never,
    share: devices(),
  });
  first.says(bytes("one"));
  await until(() => heard.length > 0, "it is heard");
  socket.close();
});

test("what excludes each other is told", () => {
  const { webSocket } = network("fails");
  for (const option of [{ keys: keys() }, { persist: (() => 0) as never }]) {
    assert.throws(
      () => new ResilientWebSocket("ws://k.test/", [], { webSocket, share: devices(), ...option }),
      TypeError,
    );
  }
});
