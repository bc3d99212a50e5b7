import * as sdk from "../../src/index.ts";
import { indexedDBStore } from "../../src/persist.ts";
import { tabs } from "../../src/share.ts";

/** What a page keeps of a socket, for the test to look at. */
export interface Recording {
  readonly socket: sdk.ResilientWebSocket;
  readonly received: string[];
  /** Names of the events but `message` and `statechange`. */
  readonly events: string[];
  /** Why sessions were lost, and the status of the app's refusal. */
  readonly losses: [sdk.LostReason, status: number][];
  /** How many sockets were made below it. */
  readonly dials: number;
}

/** Options that reach a page: `keptAs` is the name of an IndexedDB store, `sharedAs` that of a shared connection. */
export type PageOptions = Omit<sdk.Options, "persist" | "share" | "webSocket"> & {
  keptAs?: string;
  sharedAs?: string;
};

/** Waits between dials are short: there is one client, and nothing is gained by sparing a server. */
const QUICK: sdk.Options = { reconnectDelay: 20, maxReconnectDelay: 200 };

/** Opens a socket and records it as `recording`. */
export function record(
  url: sdk.Fresh<string>,
  { keptAs, sharedAs, ...options }: PageOptions = {},
): Recording {
  let dials = 0;
  class Counted extends WebSocket {
    constructor(address: string, protocols?: string | string[]) {
      super(address, protocols);
      dials++;
    }
  }
  const socket = new sdk.ResilientWebSocket(url, [], {
    ...QUICK,
    webSocket: Counted,
    ...options,
    ...(keptAs && { persist: indexedDBStore(keptAs) }),
    ...(sharedAs && { share: tabs(sharedAs) }),
  });
  const recording: Recording = {
    socket,
    received: [],
    events: [],
    losses: [],
    get dials() {
      return dials;
    },
  };
  for (const name of ["open", "resumed", "adopted", "reset", "error", "close"] as const) {
    socket.addEventListener(name, () => recording.events.push(name));
  }
  socket.addEventListener("message", ({ data }) => recording.received.push(data));
  socket.addEventListener("reset", ({ reason, status }) => recording.losses.push([reason, status]));
  globalThis.recording = recording;
  return recording;
}

declare global {
  var recording: Recording;
  var startRecording: typeof record;
  /** Names of the events of the page. */
  var pageEvents: string[];
}

globalThis.pageEvents = [];
for (const name of ["online", "offline", "pageshow", "pagehide"] as const) {
  addEventListener(name, (event) => {
    pageEvents.push(event instanceof PageTransitionEvent ? `${name} ${event.persisted}` : name);
  });
}
for (const name of ["freeze", "resume", "visibilitychange"]) {
  document.addEventListener(name, () => pageEvents.push(name));
}
Object.assign(globalThis, sdk, { startRecording: record });
