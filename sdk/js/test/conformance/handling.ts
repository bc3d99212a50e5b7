import { type Case, done, holds, next, OPEN, opened, type Place, type Socket, same } from "./case.ts";

const HANDLERS = ["onopen", "onmessage", "onerror", "onclose"] as const;

/** A socket whose events are the page's own. */
const idle = (place: Place): Socket => place.create(place.nowhere);

/** Fires an event of the page's own and returns what was called. */
function fire(socket: Socket, calls: string[]): string {
  calls.length = 0;
  socket.dispatchEvent(new Event("message"));
  return calls.join(" ");
}

export const handling: readonly Case[] = [
  {
    name: "a handler reads back what was set, and what is no object is null",
    run: async (place) => {
      const socket = idle(place);
      for (const name of HANDLERS) {
        for (const handler of [() => {}, {}, [], { handleEvent() {} }]) {
          socket[name] = handler;
          holds(socket[name] === handler, `${name} reads back`);
        }
        for (const primitive of [null, undefined, 1, "x", true, Symbol()]) {
          socket[name] = () => {};
          socket[name] = primitive;
          same(socket[name], null, `${name} ${String(primitive)}`);
        }
      }
      await done(socket);
    },
  },
  {
    name: "handlers and listeners are called in the order of their first activation",
    run: async (place) => {
      const socket = idle(place);
      const calls: string[] = [];
      const say = (what: string) => () => calls.push(what);
      socket.addEventListener("message", say("first"));
      socket.onmessage = say("handler");
      socket.addEventListener("message", say("last"));
      same(fire(socket, calls), "first handler last");
      socket.onmessage = say("replaced");
      same(fire(socket, calls), "first replaced last");
      socket.onmessage = { handleEvent: say("never") };
      same(fire(socket, calls), "first last");
      socket.onmessage = say("again");
      same(fire(socket, calls), "first again last");
      socket.onmessage = null;
      same(fire(socket, calls), "first last");
      socket.onmessage = say("new");
      same(fire(socket, calls), "first last new");
      await done(socket);
    },
  },
  {
    name: "a handler that a listener replaces or removes is not called",
    run: async (place) => {
      const socket = idle(place);
      const calls: string[] = [];
      socket.addEventListener("message", () => {
        socket.onmessage = () => calls.push("replacement");
      });
      socket.onmessage = () => calls.push("replaced");
      same(fire(socket, calls), "replacement");
      const other = idle(place);
      other.addEventListener("message", () => {
        other.onmessage = null;
      });
      other.onmessage = () => calls.push("removed");
      same(fire(other, calls), "");
      await Promise.all([done(socket), done(other)]);
    },
  },
  {
    name: "listeners may be objects, run once, and be removed",
    run: async (place) => {
      const socket = idle(place);
      const calls: string[] = [];
      const object = { handleEvent: () => calls.push("object") };
      const once = () => calls.push("once");
      socket.addEventListener("message", object);
      socket.addEventListener("message", object);
      socket.addEventListener("message", once, { once: true });
      same(fire(socket, calls), "object once");
      same(fire(socket, calls), "object");
      socket.removeEventListener("message", object);
      same(fire(socket, calls), "");
      await done(socket);
    },
  },
  {
    name: "handler and listener get the same event, of the socket itself",
    run: async (place) => {
      const socket = place.create(place.url("say?count=1"));
      const seen: { event: Event; whose: unknown[] }[] = [];
      const see = function (this: unknown, event: Event) {
        seen.push({ event, whose: [this, event.target] });
      };
      socket.onmessage = see;
      socket.addEventListener("message", see);
      await next(socket, "message");
      const [a, b] = seen;
      holds(!!a && !!b && a.event === b.event, "the same event");
      for (const { whose } of seen) {
        holds(
          whose.every((w) => w === socket),
          "of the socket",
        );
      }
      await done(socket);
    },
  },
  {
    name: "events are those of the standard",
    run: async (place) => {
      const url = place.url("say?count=1&close=1");
      const socket = place.create(url);
      const [open, message, close] = await Promise.all([
        next(socket, "open"),
        next<MessageEvent>(socket, "message"),
        next<CloseEvent>(socket, "close"),
      ]);
      holds(open.constructor === Event, "open is an Event");
      holds(message instanceof MessageEvent, "message is a MessageEvent");
      same(message.origin, new URL(url).origin);
      same([message.lastEventId, message.source, message.ports.length], ["", null, 0]);
      holds(typeof CloseEvent !== "function" || close instanceof CloseEvent, "close is a CloseEvent");
      for (const { bubbles, cancelable, composed } of [open, message, close]) {
        same([bubbles, cancelable, composed], [false, false, false]);
      }
    },
  },
  {
    name: "what a handler awaits is done before the next message",
    page: true,
    run: async (place) => {
      const socket = place.create(place.url("say?count=5&close=1"));
      const order: string[] = [];
      for (const type of ["open", "message", "close"]) {
        socket.addEventListener(type, async () => {
          order.push(type);
          await Promise.resolve();
          order.push("then");
        });
      }
      await next(socket, "close");
      await Promise.resolve();
      same(
        order.filter((_, i) => i % 2 === 1),
        order.filter((_, i) => i % 2 === 0).map(() => "then"),
      );
    },
  },
  {
    name: "a listener that throws is reported and stops nothing",
    page: true,
    run: async (place) => {
      const reports: string[] = [];
      const report = (event: ErrorEvent) => {
        event.preventDefault();
        reports.push(event.message);
      };
      addEventListener("error", report);
      const socket = place.create(place.url("say?count=2&close=1"));
      const seen: string[] = [];
      for (const type of ["open", "message", "close"]) {
        socket.addEventListener(type, () => {
          throw new Error(`thrown in ${type}`);
        });
        socket.addEventListener(type, () => seen.push(type));
      }
      await next(socket, "close");
      removeEventListener("error", report);
      same(seen, ["open", "message", "message", "close"]);
      same(
        reports.map((r) => r.replace(/.*thrown in /, "")),
        seen,
      );
    },
  },
  {
    name: "the page's own events are dispatched and change nothing",
    run: async (place) => {
      const socket = await opened(place, "echo");
      const heard = next<MessageEvent>(socket, "message");
      socket.dispatchEvent(new MessageEvent("message", { data: "from the page" }));
      same((await heard).data, "from the page");
      socket.dispatchEvent(new Event("close"));
      same(socket.readyState, OPEN);
      await done(socket);
    },
  },
];
