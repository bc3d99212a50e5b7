import {
  type Case,
  CLOSED,
  CLOSING,
  CONNECTING,
  done,
  next,
  noted,
  OPEN,
  opened,
  type Place,
  type Socket,
  same,
  throws,
} from "./case.ts";

/** Waits for a connection that is to fail, and checks how it does. */
async function fails(socket: Socket, what = ""): Promise<void> {
  const events = noted(socket);
  const { code, reason, wasClean } = await next<CloseEvent>(socket, "close");
  same(events, ["error 3", "close 3"], what);
  same([code, reason, wasClean], [1006, "", false], what);
  same([socket.protocol, socket.extensions], ["", ""], what);
}

/** Lets a task go by. */
const task = () => new Promise((resolve) => setTimeout(resolve));

export const connecting: readonly Case[] = [
  {
    name: "open comes in a task of its own, with readyState OPEN",
    run: async (place) => {
      const socket = place.create(place.url("echo"));
      await Promise.resolve();
      same(socket.readyState, CONNECTING);
      const events = noted(socket);
      await next(socket, "open");
      same(events, ["open 1"]);
      await done(socket);
    },
  },
  {
    name: "a server that chooses no subprotocol when none is asked for",
    run: async (place) => {
      const socket = await opened(place, "mute");
      same(socket.protocol, "");
      socket.send("hello");
      same((await next<MessageEvent>(socket, "message")).data, "hello");
      await done(socket);
    },
  },
  {
    name: "the server's choice of the subprotocols is known at open",
    run: async (place) => {
      const socket = await opened(place, "choose?protocol=b", ["a", "b", "c"]);
      same(socket.protocol, "b");
      await done(socket);
      same(socket.protocol, "b", "after the end");
    },
  },
  {
    name: "a server that chooses what was not offered",
    run: (place) => fails(place.create(place.url("choose?protocol=d"), ["a"])),
  },
  {
    name: "a server that chooses nothing of what was offered",
    run: (place) => fails(place.create(place.url("mute"), ["a"])),
  },
  {
    name: "a server that refuses the handshake",
    run: async (place) => {
      for (const status of [403, 404, 503]) {
        await fails(place.create(place.url(`refuse?status=${status}`)), `${status}`);
      }
    },
  },
  {
    name: "a server that is not there",
    run: (place) => fails(place.create(place.nowhere)),
  },
  {
    name: "send before open throws, whatever it is given",
    run: async (place) => {
      const socket = place.create(place.url("echo"));
      throws("InvalidStateError", () => socket.send("text"));
      throws("InvalidStateError", () => socket.send(new ArrayBuffer(1)));
      throws("InvalidStateError", () => socket.send(new Blob()));
      throws("TypeError", () => Reflect.apply(socket.send, socket, []), "without an argument");
      throws("TypeError", () => Reflect.apply(socket.send, socket, [Symbol()]), "a Symbol");
      same(socket.bufferedAmount, 0);
      await done(socket);
    },
  },
  {
    name: "close before open: CLOSING at once, then error and close in a task",
    run: async (place) => {
      const socket = place.create(place.url("echo"));
      const events = noted(socket);
      const failed = next<CloseEvent>(socket, "close");
      socket.close(3000, "changed my mind");
      same([socket.readyState, events], [CLOSING, []], "at once");
      socket.close();
      await Promise.resolve();
      same([socket.readyState, events], [CLOSING, []], "after a microtask");
      const { code, reason, wasClean } = await failed;
      same([code, reason, wasClean], [1006, "", false]);
      same(events, ["error 3", "close 3"]);
      await task();
      same([socket.readyState, events.length], [CLOSED, 2], "later");
    },
  },
  {
    name: "close before open drops what is sent, and counts it",
    run: async (place) => {
      const socket = place.create(place.url("echo"));
      socket.close();
      socket.send("four");
      same(socket.bufferedAmount, 4);
      await next(socket, "close");
      socket.send("é");
      same(socket.bufferedAmount, 6);
    },
  },
  {
    name: "what the server says first comes after open, in order",
    run: async (place) => {
      const socket = place.create(place.url("say?count=3&close=1"));
      const events = noted(socket);
      await next(socket, "close");
      same(events, ["open 1", "message 1", "message 1", "message 1", "close 3"]);
    },
  },
  {
    name: "a server that closes at once: open, then close",
    run: async (place) => {
      const socket = place.create(place.url("close?code=1000"));
      const events = noted(socket);
      await next(socket, "close");
      same(events, ["open 1", "close 3"]);
    },
  },
  {
    name: "several sockets of one page are apart",
    run: async (place: Place) => {
      const sockets = await Promise.all([
        opened(place, "echo"),
        opened(place, "echo"),
        opened(place, "echo"),
      ]);
      const echoes = sockets.map((socket) => next<MessageEvent>(socket, "message"));
      for (const [i, socket] of sockets.entries()) {
        socket.send(`${i}`);
      }
      same(
        (await Promise.all(echoes)).map(({ data }) => data),
        ["0", "1", "2"],
      );
      await done(sockets[1]!);
      same(
        sockets.map(({ readyState }) => readyState),
        [OPEN, CLOSED, OPEN],
      );
      await Promise.all(sockets.map(done));
    },
  },
];
