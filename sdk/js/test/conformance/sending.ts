import {
  type Case,
  done,
  holds,
  messages,
  next,
  opened,
  type Place,
  type Socket,
  same,
  throws,
} from "./case.ts";

const TEXTS = ["", "ascii", "\u0000", "é ü ß", "日本語", "😀🎉", "\ufeffmark", "x".repeat(300_000)];

/** The bytes that mark control messages, which as data are data like any other. */
const MAGIC = [0xff, 0x57, 0x53, 0x52];

const BYTES = [
  [],
  [0],
  [1, 2, 3],
  MAGIC,
  [...MAGIC, 0],
  [...MAGIC, 6, 3, 0xe8],
  [...MAGIC, 0, ...MAGIC],
  [0, ...MAGIC],
];

const bytes = async (data: unknown) =>
  Array.from(new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : (data as ArrayBuffer)));

/** Sends and returns the echo. */
async function echoed(
  socket: Socket,
  data: string | ArrayBufferLike | Blob | ArrayBufferView,
): Promise<unknown> {
  const echo = next<MessageEvent>(socket, "message");
  socket.send(data);
  return (await echo).data;
}

async function arrayBuffers(place: Place): Promise<Socket> {
  const socket = await opened(place, "echo");
  socket.binaryType = "arraybuffer";
  return socket;
}

/** Waits until everything was given to the network. */
async function drained(socket: Socket): Promise<void> {
  const end = Date.now() + 10_000;
  while (socket.bufferedAmount > 0) {
    holds(Date.now() < end, `bufferedAmount ${socket.bufferedAmount} becomes 0`);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

export const sending: readonly Case[] = [
  {
    name: "text arrives as it was",
    run: async (place) => {
      const socket = await opened(place, "echo");
      for (const text of TEXTS) {
        same(await echoed(socket, text), text);
      }
      await done(socket);
    },
  },
  {
    name: "lone surrogates become U+FFFD",
    run: async (place) => {
      const socket = await opened(place, "echo");
      same(await echoed(socket, "a\ud800b\udc00c😀"), "a\ufffdb\ufffdc😀");
      await done(socket);
    },
  },
  {
    name: "what is neither bytes nor text is converted",
    run: async (place) => {
      const socket = await opened(place, "echo");
      const given = [null, undefined, 1.5, true, {}, [1, [2, 3]], { toString: () => "mine" }];
      for (const value of given) {
        same(Reflect.apply(socket.send, socket, [value]), undefined);
      }
      same(await messages(socket, given.length), [
        "null",
        "undefined",
        "1.5",
        "true",
        "[object Object]",
        "1,2,3",
        "mine",
      ]);
      throws("TypeError", () => Reflect.apply(socket.send, socket, [Symbol()]), "a Symbol");
      throws("TypeError", () => Reflect.apply(socket.send, socket, []), "nothing");
      await done(socket);
    },
  },
  {
    name: "bytes arrive as they were, also those that look like ours",
    run: async (place) => {
      const socket = await arrayBuffers(place);
      for (const list of BYTES) {
        const all = Uint8Array.from(list);
        for (const data of [all, all.buffer, new DataView(all.buffer), new Blob([all])]) {
          same(await bytes(await echoed(socket, data)), list);
        }
      }
      await done(socket);
    },
  },
  {
    name: "of a view, its part is sent",
    run: async (place) => {
      const socket = await arrayBuffers(place);
      const { buffer } = Uint8Array.from({ length: 32 }, (_, i) => i);
      for (const [view, want] of [
        [new Uint8Array(buffer, 3, 2), [3, 4]],
        [new Uint8ClampedArray(buffer, 5, 1), [5]],
        [new Int16Array(buffer, 2, 2), [2, 3, 4, 5]],
        [new Float64Array(buffer, 8, 1), [8, 9, 10, 11, 12, 13, 14, 15]],
        [new BigInt64Array(buffer, 16, 1), [16, 17, 18, 19, 20, 21, 22, 23]],
        [new DataView(buffer, 30), [30, 31]],
        [new Uint8Array(buffer, 7, 0), []],
      ] as const) {
        same(await bytes(await echoed(socket, view)), want, view.constructor.name);
      }
      await done(socket);
    },
  },
  {
    name: "what is changed after send was sent as it was",
    run: async (place) => {
      const socket = await arrayBuffers(place);
      const data = Uint8Array.of(1, 2, 3);
      const echo = next<MessageEvent>(socket, "message");
      socket.send(data);
      data.fill(9);
      same(await bytes((await echo).data), [1, 2, 3]);
      await done(socket);
    },
  },
  {
    name: "shared buffers are refused",
    run: async (place) => {
      const socket = await arrayBuffers(place);
      const shared = new SharedArrayBuffer(4);
      throws("TypeError", () => socket.send(shared), "a shared one");
      throws("TypeError", () => socket.send(new Uint8Array(shared)), "a view of a shared one");
      await done(socket);
    },
  },
  {
    name: "Blobs, bytes and texts keep their order",
    run: async (place) => {
      const socket = await arrayBuffers(place);
      for (let i = 0; i < 30; i += 3) {
        socket.send(new Blob([Uint8Array.of(i)]));
        socket.send(Uint8Array.of(i + 1));
        socket.send(`${i + 2}`);
      }
      const echoes = await messages(socket, 30);
      const numbers = echoes.map((e) =>
        typeof e === "string" ? Number(e) : new Uint8Array(e as ArrayBuffer)[0],
      );
      same(
        numbers,
        numbers.map((_, i) => i),
      );
      await done(socket);
    },
  },
  {
    name: "binaryType says what bytes arrive as, at each message",
    run: async (place) => {
      const socket = await opened(place, "echo");
      const asBlob = await echoed(socket, Uint8Array.of(1, 2));
      holds(asBlob instanceof Blob && asBlob.type === "", "a Blob without a type");
      same(await bytes(asBlob), [1, 2]);
      socket.binaryType = "arraybuffer";
      const asBuffer = await echoed(socket, Uint8Array.of(3));
      holds(asBuffer instanceof ArrayBuffer && asBuffer.byteLength === 1, "an ArrayBuffer of its own");
      socket.binaryType = "blob";
      holds((await echoed(socket, Uint8Array.of(4))) instanceof Blob, "a Blob again");
      same(await echoed(socket, "text"), "text");
      await done(socket);
      socket.binaryType = "arraybuffer";
      same(socket.binaryType, "arraybuffer", "after the end");
    },
  },
  {
    name: "binaryType ignores what it does not know",
    run: async (place) => {
      const socket = place.create(place.url("echo"));
      socket.binaryType = "arraybuffer";
      for (const strange of ["", "Blob", "ArrayBuffer", "nodebuffer", null, undefined, 1]) {
        Reflect.set(socket, "binaryType", strange);
        same(socket.binaryType, "arraybuffer", `${strange}`);
      }
      await done(socket);
    },
  },
  {
    name: "bufferedAmount is what was sent in this task, then 0",
    page: true,
    run: async (place) => {
      const socket = await opened(place, "count");
      await drained(socket);
      let want = 0;
      for (const [data, size] of [
        ["é😀\ud800", 9],
        ["", 0],
        [new ArrayBuffer(7), 7],
        [new Blob(["abc"]), 3],
        [new Uint16Array(8).subarray(2), 12],
        ["x".repeat(100_000), 100_000],
      ] as const) {
        socket.send(data);
        want += size;
        same(socket.bufferedAmount, want);
      }
      await drained(socket);
      await done(socket);
    },
  },
  {
    name: "bufferedAmount counts from the handler of open on",
    page: true,
    run: async (place) => {
      const socket = place.create(place.url("count"));
      const amount = new Promise((resolve) => {
        socket.onopen = () => {
          socket.send("four");
          resolve(socket.bufferedAmount);
        };
      });
      same(await amount, 4);
      await drained(socket);
      await done(socket);
    },
  },
];
