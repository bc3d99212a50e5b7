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

export type WebSocketConstructor = new (url: string, protocols?: string[]) => Transport;

/** Keeps sessions on disk. `wsresilience/persist` makes it. */
export type Persistence = (machine: never, perform: never) => unknown;

/** Options of a ResilientWebSocket. Each is optional. */
export interface Options {
  /**
   * The page handles an app socket that knows nothing of it: the event `adopted`, or this function, which is
   * called before that event and whose `send`s restore what the app must know (a login, subscriptions).
   * Should it throw or reject, the socket closes with 1012. Without the option, the
   * session ends instead, unless the sidecar can restore the context by itself: with 1012 after its pod is
   * gone, and as the app's socket ended after the app is. Default: false.
   */
  adopt?: boolean | ((event: AdoptedEvent) => void | Promise<void>);

  /** After `reset` a new session is started instead of closing. Default: false. */
  newSessionAfterReset?: boolean;

  /**
   * Keeps the outbox and the session on disk, so that a reload, or another visit after a crash, goes on with
   * both: `indexedDBStore(name)` of `wsresilience/persist`. Nothing is dialled before the disk has answered,
   * for which it has `connectTimeout`. What is wrong with `url` or `protocols` is told by `error` and `close`.
   * Default: nothing is kept.
   */
  persist?: Persistence;

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

  /** Milliseconds: the longest wait between two attempts, at most 30,000. Default: 5,000. */
  maxReconnectDelay?: number;

  /** The transport. Default: the global WebSocket at the time of the call. In Node 20, pass that of `ws`. */
  webSocket?: WebSocketConstructor;
}

/** Options with their defaults. */
export type Settings = Options &
  Required<
    Pick<
      Options,
      "outboxMessages" | "outboxBytes" | "connectTimeout" | "reconnectDelay" | "maxReconnectDelay"
    >
  >;
