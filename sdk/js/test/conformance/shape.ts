import { type Case, done, holds, type Place, same, throws } from "./case.ts";

const CONSTANTS = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
const READ_ONLY = ["url", "readyState", "bufferedAmount", "extensions", "protocol"];
const SETTABLE = ["binaryType", "onopen", "onmessage", "onerror", "onclose"];
const METHODS = [
  ["send", 1],
  ["close", 0],
] as const;

const descriptor = (holder: object, name: PropertyKey) =>
  Object.getOwnPropertyDescriptor(holder, name) ?? { value: "missing" };

/** What is no socket. */
const foreign = ({ type }: Place) => [type.prototype, {}, new EventTarget(), null, undefined, 1];

export const shape: readonly Case[] = [
  {
    name: "the class takes one argument and inherits from EventTarget alone",
    run: ({ type }) => {
      same(type.length, 1);
      holds(Object.getPrototypeOf(type) === EventTarget, "the class");
      holds(Object.getPrototypeOf(type.prototype) === EventTarget.prototype, "the prototype");
      holds(type.prototype.constructor === type, "constructor");
      const { writable, enumerable, configurable } = descriptor(type, "prototype");
      same([writable, enumerable, configurable], [false, false, false], "prototype");
      same(descriptor(type.prototype, "constructor").enumerable, false, "constructor");
    },
  },
  {
    name: "constants of the class and of the prototype",
    run: ({ type }) => {
      for (const holder of [type, type.prototype]) {
        for (const [value, name] of CONSTANTS.entries()) {
          const { writable, enumerable, configurable, ...rest } = descriptor(holder, name);
          same([rest.value, writable, enumerable, configurable], [value, false, true, false], name);
        }
      }
    },
  },
  {
    name: "attributes are accessors of the prototype",
    run: ({ type }) => {
      for (const name of [...READ_ONLY, ...SETTABLE]) {
        const { get, set, enumerable, configurable } = descriptor(type.prototype, name);
        same([get?.name, get?.length, enumerable, configurable], [`get ${name}`, 0, true, true], name);
        const setter = SETTABLE.includes(name) ? [`set ${name}`, 1] : [null, null];
        same([set?.name ?? null, set?.length ?? null], setter, name);
      }
    },
  },
  {
    name: "attributes refuse what is no socket",
    run: (place) => {
      for (const name of [...READ_ONLY, ...SETTABLE]) {
        const { get, set } = descriptor(place.type.prototype, name);
        for (const object of foreign(place)) {
          throws("TypeError", () => get?.call(object), `get ${name}`);
          if (set) {
            throws("TypeError", () => set.call(object, null), `set ${name}`);
          }
        }
      }
    },
  },
  {
    name: "methods are enumerable, and refuse what is no socket",
    run: (place) => {
      for (const [name, length] of METHODS) {
        const { value, writable, enumerable, configurable } = descriptor(place.type.prototype, name);
        same([value.name, value.length], [name, length]);
        same([writable, enumerable, configurable], [true, true, true], name);
        for (const object of foreign(place)) {
          throws("TypeError", () => Reflect.apply(value, object, ["x"]), name);
        }
      }
    },
  },
  {
    name: "toString says WebSocket",
    run: async (place) => {
      const socket = place.create(place.nowhere);
      same(`${socket}`, "[object WebSocket]");
      const { value, writable, enumerable, configurable } = descriptor(
        place.type.prototype,
        Symbol.toStringTag,
      );
      same([value, writable, enumerable, configurable], ["WebSocket", false, false, true]);
      await done(socket);
    },
  },
  {
    name: "an instance has no properties of its own, and its attributes are found",
    page: true,
    run: async (place) => {
      const socket = place.create(place.nowhere);
      same(Reflect.ownKeys(socket).length, 0);
      const found = new Set<string>();
      for (const name in socket) {
        found.add(name);
      }
      for (const name of [...CONSTANTS, ...READ_ONLY, ...SETTABLE, "send", "close", "addEventListener"]) {
        holds(found.has(name), `${name} is enumerated`);
      }
      await done(socket);
    },
  },
  {
    name: "what is read-only cannot be set",
    run: async (place) => {
      const socket = place.create(place.nowhere);
      for (const name of [...READ_ONLY, ...CONSTANTS]) {
        const before: unknown = Reflect.get(socket, name);
        same(Reflect.set(socket, name, "other"), false, name);
        same(Reflect.get(socket, name), before, name);
      }
      await done(socket);
    },
  },
  {
    name: "the class can be extended",
    page: true,
    run: async (place) => {
      const made = place.create(place.nowhere);
      holds(made instanceof place.type && made instanceof EventTarget, "an instance of both");
      const Extended = class extends place.type {
        readonly extra = 1;
      };
      const socket = Reflect.construct(place.type, [place.nowhere], Extended);
      holds(socket instanceof Extended && socket instanceof place.type, "an instance of the extension");
      same(socket.readyState, 0);
      await Promise.all([done(made), done(socket)]);
    },
  },
];
