// The page client: a script that stands in front of all others of a page and makes its WebSockets resilient. A
// sidecar serves it, and puts its tag into pages (docs/PAGES.md). It is no part of the package.
import { type Badge, createBadge } from "./page-badge.ts";
import { pageSettings } from "./page-settings.ts";
import { ResilientWebSocket } from "./resilient-websocket.ts";

/** The browser's own class. */
const Native = window.WebSocket;

/** Sockets that stay the browser's, made with the prototype of our class or of one derived from it. */
const natives = new WeakSet<object>();

/** The tag, which is known while the script runs. */
const script = document.currentScript as HTMLScriptElement | null;

let badge: Badge | undefined;

/** Marks the class, so that a page that has the script twice gets it once. */
const MARK = Symbol.for("wsresilience.page");

/** Entries of ours in a list of subprotocols: a resilient socket of the page's own, whose transport this is. */
function isTransport(protocols: unknown): boolean {
  return Array.isArray(protocols) && protocols.some((p) => `${p}`.startsWith("wsr."));
}

/** Reports whether a socket is one that this script takes. What the browser would refuse, it is to refuse. */
function takes(url: unknown, protocols: unknown): boolean {
  try {
    const { host, pathname } = new URL(`${url}`, document.baseURI);
    return !isTransport(protocols) && pageSettings(script).takes(host, decodeURIComponent(pathname));
  } catch {
    return false;
  }
}

/** Returns a member that does what the one or the other of two does, by whose socket it is called on. */
function either(native: PropertyDescriptor, ours: PropertyDescriptor): PropertyDescriptor {
  const pick = (key: "get" | "set" | "value") => {
    const one = native[key];
    if (typeof one !== "function") {
      return {};
    }
    // A method of a literal, since those have no prototype, like the browser's own.
    const { member } = {
      member(this: object, ...given: unknown[]) {
        return (natives.has(this) ? one : ours[key]).apply(this, given);
      },
    };
    for (const property of ["name", "length"] as const) {
      Object.defineProperty(member, property, { value: one[property], configurable: true });
    }
    return { [key]: member };
  };
  return { ...native, ...pick("get"), ...pick("set"), ...pick("value") };
}

class PageWebSocket extends ResilientWebSocket {
  /** Whether a listener for `open` was ever added; the attribute counts by itself. */
  #listens = false;
  #opened = false;

  // biome-ignore lint/correctness/noUnreachableSuper: the browser's own socket takes our place
  constructor(url: string | URL, protocols?: string | string[]) {
    if (!arguments.length || !takes(url, protocols)) {
      const made = Reflect.construct(Native, [...arguments], new.target);
      natives.add(made);
      // biome-ignore lint/correctness/noConstructorReturn: that is how it does
      return made as never;
    }
    super(url, protocols, {
      // A value of the protocols that is no list is for the browser to judge: undefined is none.
      webSocket: Native as never,
      adopt: "reopen",
    });
    if (pageSettings(script).badge) {
      badge ??= createBadge();
      this.addEventListener("statechange", ({ state }) => badge!.show(this, state === "reconnecting"));
    }
  }

  /** An `open` that nobody hears restores nothing: then the session is not to go on. */
  override dispatchEvent(event: Event): boolean {
    if (#opened in this && event.type === "open") {
      if (this.#opened && !this.#listens && !this.onopen) {
        throw new Error("wsresilience: the app's socket is a new one, and nothing here listens for open");
      }
      this.#opened = true;
    }
    return super.dispatchEvent(event);
  }

  static {
    const { prototype } = this;
    // What both classes have is that of whichever class the socket is.
    for (const [name, native] of Object.entries(Object.getOwnPropertyDescriptors(Native.prototype))) {
      const ours = Object.getOwnPropertyDescriptor(ResilientWebSocket.prototype, name);
      if (ours && native.configurable && name !== "constructor") {
        Object.defineProperty(prototype, name, either(native, ours));
      }
    }
    const add = prototype.addEventListener;
    Object.defineProperty(prototype, "addEventListener", {
      configurable: true,
      enumerable: true,
      writable: true,
      value: function addEventListener(this: PageWebSocket, ...given: Parameters<typeof add>) {
        if (given[0] === "open" && #listens in this) {
          this.#listens = true;
        }
        return add.apply(this, given);
      },
    });
    Object.defineProperty(this, "name", { value: "WebSocket", configurable: true });
    Object.defineProperty(this, "length", { value: Native.length, configurable: true });
    Object.defineProperty(this, MARK, { value: true });
    // Sockets of the browser's that were made before, or in another way, are instances too.
    Object.defineProperty(this, Symbol.hasInstance, {
      value(this: unknown, value: unknown) {
        return (
          Function.prototype[Symbol.hasInstance].call(this, value) ||
          (this === PageWebSocket && value instanceof Native)
        );
      },
    });
  }
}

if (Native && !(MARK in Native)) {
  Object.defineProperty(window, "WebSocket", {
    value: PageWebSocket,
    configurable: true,
    writable: true,
    enumerable: false,
  });
}
