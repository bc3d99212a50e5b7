import type { DomBlob, DomCloseEvent, DomEvent, DomMessageEvent } from "./dom.ts";
import type { Data } from "./store.ts";

/**
 * Where a socket stands.
 *
 * - `connecting`: the first connection is being made. Leads to `connected` or `closed`.
 * - `connected`: messages flow.
 * - `reconnecting`: the connection is gone and the session is not; `readyState` stays OPEN, and `send` fills
 *   the outbox. A resume leads out, or the end of the session.
 * - `closing`: one side has closed the session, and the rest is being delivered.
 * - `closed`: the session is over.
 */
export type State = "connecting" | "connected" | "reconnecting" | "closing" | "closed";

/**
 * Why the app's socket behind a session is a new one (PROTOCOL §4.2). `renewed`: a new session has
 * begun, after `reset` as the option `newSessionAfterReset` wants it, or without it as `keys({ renew: true })` does.
 */
export type AdoptReason = "drained" | "owner_lost" | "app_restarted" | "owed" | "renewed";

/**
 * Why a session is lost. The first four are the sidecar's verdict (PROTOCOL §4.8), the others are concluded
 * here: no resume succeeded in time, another holder of the token took over, the sidecars were taken away, or the
 * sidecar contradicted us.
 */
export type LostReason =
  | "unknown"
  | "token"
  | "lost"
  | "unauthorised"
  | "expired"
  | "superseded"
  | "no_sidecar"
  | "violation";

/** The session goes on over another connection, and nothing is missing. */
export interface ResumedEvent extends DomEvent {
  readonly type: "resumed";
  /** Milliseconds without a connection; 0 if the old one worked until the new one did. */
  readonly away: number;
}

/**
 * The session goes on, and the app's socket behind it is a new one that was told nothing by this page. After
 * `owner_lost` the old app's last words may be missing, after `owed` an answer that it was about to give.
 */
export interface AdoptedEvent extends DomEvent {
  readonly type: "adopted";
  readonly reason: AdoptReason;
  /** As in ResumedEvent. */
  readonly away: number;
}

/** A message that the app has not acknowledged. */
export interface Unacknowledged {
  readonly data: Data | DomBlob;
  /** False: it never left this page. True: the app may have got it. */
  readonly sent: boolean;
}

/** The session is lost. `close` follows, or with the option `newSessionAfterReset` a new session. */
export interface ResetEvent extends DomEvent {
  readonly type: "reset";
  readonly reason: LostReason;
  /** Of `unauthorised`: the HTTP status that the app refused the handshake with; 0 if it is not known. */
  readonly status: number;
  /** What was sent and not acknowledged, in order. Nothing of it is sent again by itself. */
  readonly unacknowledged: readonly Unacknowledged[];
}

/**
 * A message that was sent ended two connections, each with a close code that refuses it, and was given up, so
 * that those behind it can pass. The app does not get it, unless it got it then.
 */
export interface RejectedEvent extends DomEvent {
  readonly type: "rejected";
  readonly data: Data;
  /** 1003, 1007 or 1009. */
  readonly code: number;
}

/** An attempt to connect failed. */
export interface ConnectFailedEvent extends DomEvent {
  readonly type: "connectfailed";
  /** How many failed in a row. */
  readonly attempt: number;
  /** The close code of the connection; 1006 if there was none, as of a server that cannot be reached. */
  readonly code: number;
  /** What the server, or a function of the page's, said of it, or `timeout`; browsers tell little. */
  readonly reason: string;
  /** Milliseconds until the next attempt; Infinity if there is none. A `reset` that follows at once counts more. */
  readonly delay: number;
}

/** `state` of the socket is new. */
export interface StateChangeEvent extends DomEvent {
  readonly type: "statechange";
  readonly state: State;
  readonly previous: State;
}

/** Another device shares the session: with `share: devices()`, as the following. */
export interface JoinedEvent extends DomEvent {
  readonly type: "joined";
  /** Its number, which no other one ever has in the session. */
  readonly member: number;
}

/** It does so no more. One that is away has not left. */
export interface LeftEvent extends DomEvent {
  readonly type: "left";
  readonly member: number;
}

/**
 * What a page has of the session's state and log. `log`: nothing is missing. `full`: the state follows, in place of all
 * that the page knew, since it is new to the session or was away for too long. `partial`: likewise, but not all of the
 * state is known.
 */
export type SyncMode = "log" | "full" | "partial";

/** The page was brought up to date, or is about to be by the messages that follow. */
export interface SynchronisedEvent extends DomEvent {
  readonly type: "synchronised";
  readonly mode: SyncMode;
  /** How many of the messages that follow are the state. */
  readonly messages: number;
  /** Number of the newest message of the common log that is in it: devices with the same one have the same. */
  readonly version: number;
}

/** The app did not get a message of the page, since what it is about has changed. */
export interface ConflictEvent extends DomEvent {
  readonly type: "conflict";
  /** Which message: 1 is the first that was sent in the session. */
  readonly message: number;
  /** Key of the state that it was about. */
  readonly key: string;
  /** The app's message that is the state now; undefined if that is not known. */
  readonly present: string | ArrayBuffer | undefined;
}

/** The events of a ResilientWebSocket by their names. */
export interface ResilientWebSocketEventMap {
  joined: JoinedEvent;
  left: LeftEvent;
  synchronised: SynchronisedEvent;
  conflict: ConflictEvent;
  open: DomEvent;
  message: DomMessageEvent;
  error: DomEvent;
  close: DomCloseEvent;
  resumed: ResumedEvent;
  adopted: AdoptedEvent;
  rejected: RejectedEvent;
  reset: ResetEvent;
  connectfailed: ConnectFailedEvent;
  statechange: StateChangeEvent;
}

/** @internal Makes an event. CloseEvent is missing in Node before 23, and the others have no class anywhere. */
export function makeEvent(type: string, fields?: object): Event {
  return type === "close" && globalThis.CloseEvent
    ? new CloseEvent(type, fields)
    : Object.assign(new Event(type), fields);
}
