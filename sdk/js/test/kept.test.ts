// Sessions that are kept on disk, while the disk has not answered yet.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ResilientWebSocket } from "../src/index.ts";
import { customStore, type SavedMessage, type Store } from "../src/persist.ts";
import { SKIPPED } from "../src/wire.ts";
import { network } from "./network.ts";
import { until } from "./rig.ts";

const SAVED = {
  ...{ token: "kept", dials: 3, epoch: 1, received: 7, acked: 4, shift: 0, protocol: "" },
  expires: Date.now() + 60_000,
};

/** A store that answers when `answer` is called. */
function slowStore(kept: SavedMessage[] = [{ position: 5, data: "kept" }]) {
  const calls: string[] = [];
  const store: Store = {
    restored: { saved: SAVED, messages: kept },
    put: ({ position }) => calls.push(`put ${position}`),
    save: async ({ token }) => void calls.push(`save ${token}`),
    clear: () => calls.push("clear"),
    close: async () => void calls.push("close"),
  };
  let answer = () => {};
  let fail = (_: Error) => {};
  const promise = new Promise<Store>((resolve, reject) => {
    answer = () => resolve(store);
    fail = reject;
  });
  return { calls, persist: customStore(() => promise), answer, fail };
}

/** Calls `during` while the global object is a target of events, as in a page. */
async function inPage(during: (page: EventTarget) => Promise<void>): Promise<void> {
  const page = new EventTarget();
  const add = page.addEventListener.bind(page);
  Object.assign(globalThis, { addEventListener: add });
  try {
    await during(page);
  } finally {
    Reflect.deleteProperty(globalThis, "addEventListener");
  }
}

test("nothing that happens to the page dials before the disk has answered", () =>
  inPage(async (page) => {
    const { dials, webSocket } = network("fails");
    const { persist, answer } = slowStore();
    const socket = new ResilientWebSocket("ws://kept.test/", [], { webSocket, persist });
    await sleep(10);
    for (const type of ["online", "pageshow"]) {
      page.dispatchEvent(Object.assign(new Event(type), { persisted: true }));
      await sleep(10);
    }
    assert.deepEqual(dials, []);
    answer();
    await until(() => dials.length > 0, "a dial");
    assert.match(dials[0]!, /^wsr wsr\.v1 wsr\.resume\.kept\.7\.0\.\d+$/, "it resumes");
    socket.close();
  }));

test("a disk that does not answer is not waited for longer than for a connection", async () => {
  const { dials, webSocket } = network("wsr.v1");
  const { calls, persist, answer } = slowStore();
  const events: string[] = [];
  const socket = new ResilientWebSocket("ws://mute.test/", [], { webSocket, persist, connectTimeout: 50 });
  socket.onerror = () => events.push("error");
  await until(() => socket.readyState === 1, "open");
  assert.deepEqual(events, ["error"]);
  assert.deepEqual(dials, ["wsr wsr.v1"]);
  answer(); // too late: it stays for the next page
  await until(() => calls.length > 0, "it is given back");
  assert.deepEqual(calls, ["close"]);
  assert.equal(socket.readyState, 1);
  socket.close();
});

test("a disk that fails is told, and the session is a new one", async () => {
  const { dials, webSocket } = network("wsr.v1");
  const { persist, fail } = slowStore();
  const socket = new ResilientWebSocket("ws://full.test/", [], { webSocket, persist });
  let errors = 0;
  socket.onerror = () => errors++;
  fail(new Error("wsresilience: persist: full"));
  await until(() => socket.readyState === 1, "open");
  assert.equal(errors, 1);
  assert.deepEqual(dials, ["wsr wsr.v1"]);
  socket.close();
});

test("a socket that is closed before the disk answers gives the store back", async () => {
  const { dials, webSocket } = network("wsr.v1");
  const { calls, persist, answer } = slowStore();
  const socket = new ResilientWebSocket("ws://left.test/", [], { webSocket, persist });
  socket.close();
  answer();
  await until(() => calls.length > 0, "it is given back");
  assert.deepEqual([calls, dials], [["close"], []]);
});

test("a message that was given up is given up after a reload too, and its position stays in use", async () => {
  const { sockets, webSocket } = network("wsr.v1");
  const { persist, answer } = slowStore([
    { position: 5, data: null },
    { position: 6, data: "behind" },
  ]);
  const socket = new ResilientWebSocket("ws://gap.test/", [], { webSocket, persist });
  answer();
  const sent = () => sockets[0]?.sent.filter((data) => typeof data === "string" || data[4] === 10) ?? [];
  await until(() => sent().length === 2, "both are sent");
  assert.deepEqual(sent(), [SKIPPED, "behind"]);
  socket.close();
});
