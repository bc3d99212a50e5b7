import type { DomAbortSignal, DomBlob } from "./dom.ts";
import type { AdoptedEvent } from "./events.ts";
import type { Data } from "./store.ts";

/** A value, or where to get it. Functions are called before every dial, so that credentials can be fresh. */
export type Fresh<T> = T | Promise<T> | (() => T | Promise<T>);

/** What is needed of a WebSocket: the browser's, undici's and that of `ws` have it. */
export interface Transport {
  readonly url: string;
  readonly protocol: string;
  readonly extensions: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  send(data: Data): void;
  close(code?: number, reason?: string): void;
}

/** What `send` takes. */
export type Sendable = string | ArrayBufferLike | DomBlob | ArrayBufferView;

/** Restores the app's context: see `adopt`. */
export type AdoptFunction = (
  event: AdoptedEvent,
  send: (data: Sendable) => void,
) => undefined | Promise<unknown> | unknown;

export type WebSocketConstructor = new (url: string, protocols?: string[]) => Transport;

/** Keeps sessions on disk. `wsresilience/persist` makes it. */
export type Persistence = (machine: never, perform: never) => unknown;

/** Shares a connection among tabs, or hears of other devices. `wsresilience/share` and `wsresilience/devices` make it. */
export type Sharing = (make: never, settings: never, act: never) => unknown;

/** Gives messages keys. `wsresilience/keys` makes it. */
export type Keying = (make: never, settings: never, act: never) => unknown;

/** How `deliver` delivers. */
export interface DeliverOptions {
  /** The message acts once under this key, of 1 to 64 bytes in UTF-8: with the option `keys`. */
  readonly key: string;
}

/**
 * What became of a message with a key (PROTOCOL §4.13).
 *
 * - `first`: the app got it, and no other one with its key before.
 * - `repeated`: another one with the key had acted, so that the app did not get this one.
 * - `underway`: another one is with the app, so that it did not get this one.
 * - `again`: another one was in doubt, and the app got this one too: both may act.
 * - `doubt`: another one is in doubt, and the app did not get this one: maybe none acts.
 * - `unkeyed`: the app got it, and no rule of the sidecar is about it.
 * - `forbidden`: what it is about is in a state that it does not follow, so that the app did not get it.
 */
export type Fate = "first" | "repeated" | "underway" | "again" | "doubt" | "unkeyed" | "forbidden";

/** What is needed of a console. */
export interface Logger {
  info(...what: unknown[]): void;
  warn(...what: unknown[]): void;
}

/** Options of a ResilientWebSocket. Each is optional. */
export interface Options {
  /**
   * The page handles an app socket that knows nothing of it: the event `adopted`, or this function, which is
   * called before that event and tells the app what it must know (a login, subscriptions), ahead of all that
   * waits for it.
   *
   * A function with two parameters does so by the second: what is given to that `send` goes first, until the
   * promise settles, and whatever else the page sends meanwhile waits like the rest. One with less uses
   * `socket.send`, and all that the page sends until the promise settles goes first.
   *
   * If the connection or the app is gone before that, the function is called again when there is another, and what
   * the first call still says is dropped. Should it throw or reject otherwise, the socket closes with 1012, and what waits is not sent.
   * With `newSessionAfterReset` it is also called when the new session has begun (`renewed`).
   *
   * With `"reopen"`, the event `open` is fired again for an app socket that nobody else restores, which is where
   * code logs in and subscribes that was written for a socket that reconnects; what its listeners send at once goes
   * first.
   *
   * With `true`, what listeners of the event send at once goes first in the same way.
   *
   * Without the option, the session ends instead, unless the sidecar can restore the context by itself: with 1012
   * after its pod is gone, and as the app's socket ended after the app is. Default: false.
   */
  adopt?: boolean | "reopen" | AdoptFunction;

  /** After `reset` a new session is started instead of closing. Default: false. */
  newSessionAfterReset?: boolean;

  /**
   * Keeps the outbox and the session on disk, so that a reload, or another visit after a crash, goes on with
   * both: `indexedDBStore(name)` of `wsresilience/persist`. Nothing is dialled before the disk has answered,
   * for which it has `connectTimeout`. What is wrong with `url` or `protocols` is told by `error` and `close`.
   * Default: nothing is kept.
   */
  persist?: Persistence;

  /**
   * The tabs of one browser have one session and one connection: `tabs(name)` of `wsresilience/share`. What the app
   * says reaches all of them, and what each sends reaches the app once and in that tab's order. Or a page hears of the
   * other devices on its session: `devices()` of `wsresilience/devices`. It cannot be combined with `persist`.
   * Default: each tab has its own.
   */
  share?: Sharing;

  /**
   * `deliver` takes a key with a message, which then acts once, and tells what became of it: `keys()` of
   * `wsresilience/keys`. It cannot be combined with `share`. Default: no keys.
   */
  keys?: Keying;

  /** The first connection is tried again and again, with backoff, instead of once. Default: false. */
  retryInitialConnect?: boolean;

  /** Messages that `send` takes before the app has them; `send` throws above. Default: 65,536. */
  outboxMessages?: number;

  /** Bytes that `send` takes before the app has them; `send` throws above. Default: 16 MiB. */
  outboxBytes?: number;

  /** Milliseconds that one attempt to connect may take up to the sidecar's answer. Default: 10,000. */
  connectTimeout?: number;

  /** Milliseconds: the first wait between attempts to resume, after an immediate one. Default: 100. */
  reconnectDelay?: number;

  /**
   * Milliseconds: the longest wait between two attempts, at most 30,000. If it is set, what the sidecar asks for
   * does not count. Default: 5,000.
   */
  maxReconnectDelay?: number;

  /** Closes the socket when it is aborted. Default: none. */
  signal?: DomAbortSignal;

  /** Where the socket says what no event tells, such as that a function of the page's has thrown. Default: the console. */
  logger?: Logger;

  /** The transport. Default: the global WebSocket at the time of the call. In Node 20, pass that of `ws`. */
  webSocket?: WebSocketConstructor;
}

/** Options with their defaults. */
export type Settings = Options &
  Required<Pick<Options, "outboxMessages" | "outboxBytes" | "connectTimeout" | "reconnectDelay" | "logger">>;
