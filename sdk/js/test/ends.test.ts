// Attempts that fail are told, and sockets are ended by signals, by `using`, by their URL, and read in loops.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ResilientWebSocket } from "../src/index.ts";
import { messages } from "../src/messages.ts";
import { network } from "./network.ts";
import { until } from "./rig.ts";

/** Keeps what is told of a socket. */
function told(socket: ResilientWebSocket): string[] {
  const events: string[] = [];
  socket.onconnectfailed = ({ attempt, code, reason, delay }) =>
    events.push(`${attempt} ${code} ${reason} ${delay === Number.POSITIVE_INFINITY ? "last" : "again"}`);
  socket.onerror = () => events.push("error");
  socket.onclose = ({ code, reason }) => events.push(`close ${code} ${reason}`);
  return events;
}

test("each attempt that fails is told, with its number and what comes next", async () => {
  const { webSocket } = network("fails");
  const once = told(new ResilientWebSocket("ws://a.test/", [], { webSocket }));
  await until(() => once.includes("close 1006 "), "it is over");
  assert.deepEqual(once, ["1 1006  last", "error", "close 1006 "]);

  const patient = new ResilientWebSocket("ws://a.test/", [], {
    webSocket,
    retryInitialConnect: true,
    reconnectDelay: 1,
    maxReconnectDelay: 1,
  });
  const again = told(patient);
  await until(() => again.length > 2, "three attempts");
  assert.deepEqual(again.slice(0, 3), ["1 1006  again", "2 1006  again", "3 1006  again"]);
  patient.close();
});

test("what a function of the page throws is told to the event and to the logger", async () => {
  const warned: unknown[] = [];
  const logger = { info: () => {}, warn: (what: unknown) => warned.push(what) };
  const error = new Error("no ticket");
  const events = told(new ResilientWebSocket(() => Promise.reject(error), [], { logger }));
  await until(() => events.length === 3, "it is over");
  assert.deepEqual(events, ["1 1006 Error: no ticket last", "error", "close 1006 "]);
  assert.deepEqual(warned, [error]);
});

test("a URL that is null ends the socket, though it would be tried again", async () => {
  const { dials, webSocket } = network("fails");
  let asked = 0;
  const socket = new ResilientWebSocket(() => (++asked > 3 ? null : "ws://a.test/"), [], {
    webSocket,
    retryInitialConnect: true,
  });
  const events = told(socket);
  await until(() => socket.readyState === 3, "it is over");
  assert.deepEqual(events.slice(-2), ["error", "close 1006 stopped"]);
  assert.equal(dials.length, 3);
});

test("a signal and `using` close the socket", async () => {
  const { webSocket } = network("wsr.v1");
  const controller = new AbortController();
  const socket = new ResilientWebSocket("ws://a.test/", [], { webSocket, signal: controller.signal });
  await until(() => socket.readyState === 1, "open");
  controller.abort();
  assert.equal(socket.readyState, 2);
  let kept: ResilientWebSocket;
  {
    using own = new ResilientWebSocket("ws://a.test/", [], { webSocket });
    kept = own;
    await until(() => own.readyState === 1, "open");
  }
  assert.equal(kept.readyState, 2);
});

test("a loop has every message, ends with the socket, and leaves it open when it is left", async () => {
  const { sockets, webSocket } = network("");
  const socket = new ResilientWebSocket("ws://a.test/", [], { webSocket });
  await until(() => socket.readyState === 1, "open");
  const transport = sockets.at(-1)!;
  const say = (data: string) => transport.onmessage?.({ data } as never);
  const heard: string[] = [];
  const loop = (async () => {
    for await (const data of messages<string>(socket)) {
      heard.push(data);
      if (data === "3") break;
    }
    for await (const data of messages<string>(socket)) heard.push(data);
  })();
  for (const data of ["1", "2", "3"]) say(data);
  await until(() => heard.length === 3, "three messages");
  assert.equal(socket.readyState, 1);
  say("4");
  socket.close();
  transport.breaks(1000);
  await loop;
  assert.deepEqual(heard, ["1", "2", "3", "4"]);
  for await (const _ of messages(socket)) assert.fail("it is closed");
});
