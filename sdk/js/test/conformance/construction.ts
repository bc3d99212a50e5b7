import { type Case, CONNECTING, done, holds, next, type Place, same, throws } from "./case.ts";

const INVALID = ["ws://", "ws://a:b/", "ws://a:65536/", "wss://[::1", "ftp://a/", "about:blank", "data:,"];

/** RFC 9110's delimiters, and what is not visible ASCII. */
const SEPARATORS = '"(),/:;<=>?@[\\]{} \t\u0000\u001f\u007f\u0080é😀';

/** Constructs, looks, and gives the socket up. */
async function constructed(place: Place, args: unknown[], look: (url: string) => void): Promise<void> {
  const socket = place.create(...args);
  look(socket.url);
  await done(socket);
}

export const construction: readonly Case[] = [
  {
    name: "an address is required",
    run: (place) => throws("TypeError", () => place.create()),
  },
  {
    name: "it is called with new",
    run: ({ type }) => throws("TypeError", () => Reflect.apply(type, undefined, ["ws://localhost/"])),
  },
  {
    name: "addresses that are not valid",
    run: (place) => {
      for (const url of INVALID) {
        throws("SyntaxError", () => place.create(url), url);
      }
    },
  },
  {
    name: "addresses with a fragment",
    run: (place) => throws("SyntaxError", () => place.create(`${place.url("echo")}#a`)),
  },
  {
    name: "an empty fragment is one too",
    page: true,
    run: (place) => throws("SyntaxError", () => place.create(`${place.url("echo")}#`)),
  },
  {
    name: "a Symbol is no address",
    run: (place) => throws("TypeError", () => place.create(Symbol())),
  },
  {
    name: "the address is serialised at once",
    run: async (place) => {
      const { host } = new URL(place.nowhere);
      await constructed(place, [`WS://${host}`], (url) => same(url, `ws://${host}/`));
      await constructed(place, [`ws://${host}/a/../b?c d ü`], (url) =>
        same(url, `ws://${host}/b?c%20d%20%C3%BC`),
      );
    },
  },
  {
    name: "an address may be a URL",
    run: async (place) => {
      const url = place.url("echo");
      await constructed(place, [new URL(url)], (u) => same(u, url));
    },
  },
  {
    name: "http and https are read as ws and wss",
    run: async (place) => {
      const { host } = new URL(place.nowhere);
      await constructed(place, [`http://${host}/`], (url) => same(url, `ws://${host}/`));
      await constructed(place, [`https://${host}/`], (url) => same(url, `wss://${host}/`));
    },
  },
  {
    name: "addresses are relative to the page",
    page: true,
    run: async (place) => {
      const { host } = location;
      await constructed(place, ["/a?b"], (url) => same(url, `ws://${host}/a?b`));
      await constructed(place, [undefined], (url) => same(url, `ws://${host}/undefined`));
      throws("SyntaxError", () => place.create("mailto:a@b"));
    },
  },
  {
    name: "subprotocols are tokens",
    run: (place) => {
      for (const c of SEPARATORS) {
        for (const protocols of [c, `a${c}`, ["fine", `${c}b`]]) {
          throws("SyntaxError", () => place.create(place.url("echo"), protocols), JSON.stringify(protocols));
        }
      }
      throws("SyntaxError", () => place.create(place.url("echo"), ""), "the empty one");
      throws("SyntaxError", () => place.create(place.url("echo"), ["a", ""]), "the empty one of a list");
    },
  },
  {
    name: "no subprotocol is there twice",
    run: (place) => throws("SyntaxError", () => place.create(place.url("echo"), ["a", "b", "a"])),
  },
  {
    name: "subprotocols are a text, an iterable, or nothing",
    run: async (place) => {
      for (const [given, want] of [
        [["b", "a"], "b"],
        ["a", "a"],
        [new Set(["c", "a"]), "c"],
        [null, "null"],
        [[], ""],
        [undefined, ""],
      ] as const) {
        const socket = place.create(place.url("echo"), given);
        await next(socket, "open");
        same(socket.protocol, want);
        await done(socket);
      }
    },
  },
  {
    name: "a new socket is connecting and has nothing",
    run: async (place) => {
      const socket = place.create(place.url("echo"), ["a"]);
      same(socket.readyState, CONNECTING);
      same(
        [socket.bufferedAmount, socket.extensions, socket.protocol, socket.binaryType],
        [0, "", "", "blob"],
      );
      same([socket.onopen, socket.onmessage, socket.onerror, socket.onclose], [null, null, null, null]);
      await done(socket);
    },
  },
  {
    name: "what a constructor refuses leaves nothing behind",
    run: async (place) => {
      const url = place.url("echo");
      throws("SyntaxError", () => place.create(url, ["a", "a"]));
      const socket = place.create(url);
      const event = await next(socket, "open");
      holds(event.target === socket, "the event is the second one's");
      await done(socket);
      same((await place.ended(url)).code, 1005, "the only socket");
    },
  },
];
