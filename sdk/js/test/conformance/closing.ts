import {
  type Case,
  CLOSED,
  CLOSING,
  done,
  messages,
  next,
  noted,
  OPEN,
  opened,
  type Place,
  same,
  throws,
} from "./case.ts";

/** 123 bytes in 82 characters. */
const LONGEST = `${"é".repeat(41)}${"a".repeat(41)}`;

/** Arguments of `close` that are taken, and what both sides are told. */
const TAKEN = [
  { given: [], code: 1005, reason: "" },
  { given: [undefined, undefined], code: 1005, reason: "" },
  { given: [1000], code: 1000, reason: "" },
  { given: [1000, "bye"], code: 1000, reason: "bye" },
  { given: [3000, ""], code: 3000, reason: "" },
  { given: [3999, LONGEST], code: 3999, reason: LONGEST },
  { given: [4999, "\ud800 and 😀"], code: 4999, reason: "\ufffd and 😀" },
  { given: ["3001", 7], code: 3001, reason: "7" },
  { given: [1000.4, null], code: 1000, reason: "null" },
] as const;

/** Arguments that are refused, and how. */
const REFUSED = [
  ...[0, 999, 1001, 1005, 1006, 1011, 1015, 2999, 5000, 65535, 66536, -1, Number.NaN, null, "x", true].map(
    (code) => ({ given: [code], error: "InvalidAccessError" }),
  ),
  { given: [1000, `${LONGEST}a`], error: "SyntaxError" },
  { given: [1000, "\ud800".repeat(42)], error: "SyntaxError" },
  { given: [1001, `${LONGEST}a`], error: "InvalidAccessError" },
  { given: [1n], error: "TypeError" },
  { given: [Symbol()], error: "TypeError" },
  { given: [1000, Symbol()], error: "TypeError" },
] as const;

const text = (given: readonly unknown[]) => given.map(String).join(", ");

/** Lets the app close, and checks what the page hears of it. */
async function closedByApp(place: Place, query: string, code: number, reason: string): Promise<void> {
  const socket = await opened(place, `close?${query}`);
  const event = await next<CloseEvent>(socket, "close");
  same([event.code, event.reason, event.wasClean], [code, reason, true], query);
  same(socket.readyState, CLOSED);
}

export const closing: readonly Case[] = [
  ...TAKEN.map(({ given, code, reason }) => ({
    name: `close(${text(given)}) is told to both sides`,
    run: async (place: Place) => {
      const url = place.url("echo");
      const socket = place.create(url);
      await next(socket, "open");
      const events = noted(socket);
      const closed = next<CloseEvent>(socket, "close");
      same(Reflect.apply(socket.close, socket, given), undefined);
      same([socket.readyState, events], [CLOSING, []], "at once");
      const event = await closed;
      same([event.code, event.reason, event.wasClean], [code, reason, true]);
      same(events, ["close 3"]);
      same(await place.ended(url), { code, reason }, "the app");
    },
  })),
  {
    name: "arguments that close refuses, and then it has not closed",
    run: async (place) => {
      const socket = await opened(place, "echo");
      for (const { given, error } of REFUSED) {
        throws(error, () => Reflect.apply(socket.close, socket, given), `close(${text(given)})`);
      }
      same(socket.readyState, OPEN);
      socket.send("still here");
      same(await messages(socket, 1), ["still here"]);
      await done(socket);
      for (const { given, error } of REFUSED) {
        throws(
          error,
          () => Reflect.apply(socket.close, socket, given),
          `close(${text(given)}) after the end`,
        );
      }
    },
  },
  {
    name: "the app closes with any code and reason",
    run: async (place) => {
      for (const code of [1000, 1001, 1003, 1008, 1011, 1012, 1013, 3000, 4000, 4321, 4999]) {
        await closedByApp(place, `code=${code}`, code, "");
      }
      await closedByApp(place, `code=4000&reason=${encodeURIComponent(LONGEST)}`, 4000, LONGEST);
    },
  },
  {
    name: "the app closes without a code",
    run: (place) => closedByApp(place, "", 1005, ""),
  },
  {
    name: "the app's connection breaks: close 1006",
    run: async (place) => {
      const socket = await opened(place, "drop");
      const events = noted(socket);
      socket.send("now");
      const { code, wasClean } = await next<CloseEvent>(socket, "close");
      same([code, wasClean], [1006, false]);
      // Firefox says error before it, Chromium does not.
      same(
        events.filter((e) => e !== "error 3"),
        ["close 3"],
      );
    },
  },
  {
    name: "what was sent before close arrives before it",
    run: async (place) => {
      const url = place.url("count");
      const socket = place.create(url);
      await next(socket, "open");
      for (let i = 0; i < 50; i++) {
        socket.send(i % 2 ? "x".repeat(1000) : new Blob(["y".repeat(1000)]));
      }
      socket.close(3000, "all said");
      await next(socket, "close");
      same(await place.ended(url), { code: 3000, reason: "all said 50" });
    },
  },
  {
    name: "no message comes after close was called",
    run: async (place) => {
      const socket = place.create(place.url("say?count=20"));
      const events = noted(socket);
      socket.addEventListener("message", () => socket.close());
      await next(socket, "close");
      same(events, ["open 1", "message 1", "close 3"]);
    },
  },
  {
    name: "what the app said before it closed arrives before close",
    run: async (place) => {
      const socket = place.create(place.url("say?count=100&close=1"));
      const events = noted(socket);
      const { wasClean } = await next<CloseEvent>(socket, "close");
      same([events.length, wasClean], [102, true]);
    },
  },
  {
    name: "close again, in every state, has no effect",
    run: async (place) => {
      const socket = await opened(place, "echo");
      const events = noted(socket);
      socket.close(3001, "first");
      socket.close(3002, "second");
      same(socket.readyState, CLOSING);
      const event = await next<CloseEvent>(socket, "close");
      same([event.code, event.reason], [3001, "first"]);
      socket.close(3003);
      same(socket.readyState, CLOSED);
      same(events, ["close 3"]);
    },
  },
  {
    name: "close in a handler of open, message and close",
    run: async (place) => {
      for (const type of ["open", "message", "close"]) {
        const socket = place.create(place.url("say?count=1"));
        const events = noted(socket);
        const calls = type === "close" ? next(socket, "message").then(() => socket.close()) : null;
        socket.addEventListener(type, () => socket.close());
        await next(socket, "close");
        await calls;
        same(events.at(-1), "close 3", type);
        same(events.filter((e) => e.startsWith("close")).length, 1, type);
      }
    },
  },
  {
    name: "send while closing and after the end is dropped, and counted",
    run: async (place) => {
      const url = place.url("count");
      const socket = place.create(url);
      await next(socket, "open");
      socket.close(1000);
      same(Reflect.apply(socket.send, socket, ["€"]), undefined);
      socket.send(new ArrayBuffer(10));
      same(socket.bufferedAmount, 13);
      await next(socket, "close");
      same(socket.bufferedAmount, 13, "after the end");
      socket.send(new Blob(["ab"]));
      socket.send(new Uint8Array(5).subarray(2));
      same(socket.bufferedAmount, 18);
      same((await place.ended(url)).reason, " 0");
    },
  },
];
