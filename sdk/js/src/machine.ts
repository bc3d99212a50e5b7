import { Backoff } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { type AdoptReason, type LostReason, makeEvent, type State } from "./events.ts";
import { Inbox, NEVER } from "./inbox.ts";
import type { Settings } from "./options.ts";
import { type Entry, Outbox } from "./outbox.ts";
import type { Data } from "./store.ts";
import { BY_SIDECAR, CODE } from "./wire.ts";

/**
 * How long a connection must have lived, in ms, for the first dial after its loss to be immediate, and for the
 * waits between dials to be short again. What accepts connections and drops them again and again, be it at once
 * or after a while, would otherwise be dialled in a loop.
 */
const MIN_LIFETIME = 1000;
const STABLE = 3000;

/** The longest wait between two dials by default, in ms: a sidecar may ask for another. */
const MAX_DELAY = 5000;

/** So many servers in a row that answer without a sidecar say that there is none any more (PROTOCOL §2.3). */
const MAX_BARE = 5;

/** How many attempts a first connection has at most if a sidecar answers without WELCOME. */
const MAX_UNWELCOMED = 3;

/** A message of the app that is to be dispatched; `dispatched` must be called after it. */
export interface AppMessage {
  readonly data: Data;
  readonly seq: number;
}

/** What restores the context of a fresh app socket, ahead of all that waits for it (PROTOCOL §8.6). */
export interface Restore {
  /** Where the sidecar waits for RESTORED; null: the session is new, and what restores is data like any other. */
  readonly peer: Connection | null;
  /** What tells the page to begin. */
  readonly told: Event;
  /** What is to be sent as RESTORE. */
  readonly toSend: Pick<Entry, "data" | "receipt">[];
  /** All that the page sends belongs to it. */
  takesAll: boolean;
  /** The page has sent all, or the sidecar has. */
  allSaid: boolean;
}

/** The state of the session's close (PROTOCOL §7). */
export interface Closing {
  readonly endCode: number;
  readonly endReason: string;
  byPage: boolean;
  byPeer: boolean;
}

/**
 * The client's end of `wsr.v1`, or of a plain WebSocket where there is no sidecar. It does no I/O, starts no
 * timer and reads no clock; all times are in ms on one monotonic clock.
 *
 * Its driver feeds it what happens (incoming.ts, redial.ts, closing.ts, saving.ts) and then performs what is
 * pending, in this order: it dispatches `forPage`, from the first; calls `tick`, which returns when to call it
 * again; saves the state if `saveDue`; closes the sockets of connections that have an `endCode`; sends what
 * `nextMessage` returns for the others; dials if `wantDial`.
 */
export class Machine {
  readonly settings: Settings;
  readonly chance: () => number;
  readonly backoff: Backoff;
  readonly out = new Outbox();
  readonly in = new Inbox();
  readonly forPage: (Event | AppMessage)[] = [];

  stage: State = "connecting";
  /** `open` was dispatched. */
  opened = false;
  /** There is no sidecar. */
  plain = false;
  ending: Closing | null = null;
  closeDeadline = NEVER;

  /** The connection in use; null while detached. */
  current: Connection | null = null;
  /** One that was dialled and is not welcomed yet. */
  dialling: Connection | null = null;
  /** Not null: what waits for the app goes on waiting. It outlives its connection, on which RESTORED was not sent. */
  restoring: Restore | null = null;
  /** Where RESTORE was sent, as long as nothing shows that the sidecar has RESTORED. */
  restoredOn: Connection | null = null;
  /** How many such connections in a row ended with a code that refuses a message (PROTOCOL §9.1). */
  refusals = 0;
  /** Attempts since one was answered with `wsr.v1` and without WELCOME; 0: there was none. */
  unwelcomed = 0;
  /** Answers of servers without a sidecar, since one with a sidecar answered. */
  bare = 0;
  /** When to dial next. */
  dialAt = 0;
  /** Attempts that failed, since one succeeded. */
  failedDials = 0;
  /** When `current` was lost. */
  lostAt = 0;
  /** When the sidecar will have ended the session, while detached. */
  expiresAt = NEVER;

  // From the last WELCOME.
  resumeToken = "";
  /** Handshakes that offered a token. */
  handshakes = 0;
  session = "";
  ownerEpoch = 0;
  appProtocol = "";
  beatInterval = 0;
  ttl = 0;
  maxMessage = NEVER;

  /** In ms: the first attempt after a loss that others may share comes within it. */
  firstWithin = 0;

  /** Number of our last HEARTBEAT. */
  heartbeats = 0;
  /** The state is saved on disk, and the sidecar is told of nothing that is not: see saving.ts. */
  durable = false;
  saveDue = false;
  /** Nothing may be sent: the new token, or the position that a resume is to claim, is not on disk yet. */
  blocked = false;
  /** `in.lastIn` as it is on disk. */
  savedReceived = 0;

  constructor(settings: Settings, random: () => number) {
    this.settings = settings;
    this.chance = random;
    this.backoff = new Backoff(settings.reconnectDelay, settings.maxReconnectDelay ?? MAX_DELAY, random);
  }
}

/** Adds an event to the outputs. */
export function emit(m: Machine, type: string, fields?: object): Event {
  const event = makeEvent(type, fields);
  m.forPage.push(event);
  return event;
}

/** Changes the state. */
export function setState(m: Machine, state: State): void {
  if (state !== m.stage) {
    emit(m, "statechange", { state, previous: m.stage });
    m.stage = state;
  }
}

/** The socket is open, or works again. */
export function connected(m: Machine): void {
  if (!m.ending) {
    setState(m, "connected");
  }
  if (!m.opened) {
    m.opened = true;
    emit(m, "open");
  }
}

/** By the reasons in WELCOME (PROTOCOL §4.2), which start at 1, and RENEWED. */
const ADOPT_REASONS: readonly AdoptReason[] = ["drained", "owner_lost", "app_restarted", "owed", "renewed"];

/** A reason of ours: a new session has begun. */
export const RENEWED = 5;

/**
 * Tells the page that the session goes on; with a reason, that the app's socket is a new one. If it restores the
 * context by a function, what was not sent yet waits until that is done.
 */
export function goesOn(m: Machine, connection: Connection | null, why: number, away: number): void {
  const reason = ADOPT_REASONS[(why % BY_SIDECAR) - 1];
  const event = emit(m, reason ? "adopted" : "resumed", { reason, away });
  if (!reason) {
    m.refusals = 0; // the sidecar has RESTORED
  }
  // PROTOCOL §8.6: each adoption is answered with one RESTORED; one that comes on top of another cancels it.
  if (reason && m.settings.adopt) {
    if (connection && m.restoring?.peer === connection) {
      connection.restoredDue++;
    }
    m.restoring = { peer: connection, told: event, toSend: [], takesAll: false, allSaid: why > BY_SIDECAR };
    m.out.hold();
  }
}

/** Ends the session. */
export function end(m: Machine, code: number, reason: string, clean = code !== CODE.abnormal): void {
  if (m.stage === "closed") {
    return;
  }
  m.out.fail("closed");
  setState(m, "closed");
  dropAll(m);
  if (!clean) {
    emit(m, "error");
  }
  emit(m, "close", { code, reason, wasClean: clean });
}

/** Handles that the session cannot be resumed: after `reset`, it ends or a new one starts. */
export function lost(m: Machine, now: number, reason: LostReason, status = 0): void {
  const { ending } = m;
  if (m.stage === "closed") {
    return;
  }
  if (ending && (ending.byPeer || !m.out.unacked)) {
    end(m, ending.endCode, ending.endReason); // nothing is missing
    return;
  }
  emit(m, "reset", { reason, status, unacknowledged: m.out.fail(reason) });
  if (ending || (m.opened && !m.settings.newSessionAfterReset)) {
    end(m, reason === "superseded" ? CODE.superseded : CODE.reset, reason, false);
    return;
  }
  // If it is a saved session that is lost before `open`, the page still wants a connection.
  dropAll(m);
  if (m.opened) {
    setState(m, "reconnecting");
  }
  m.resumeToken = "";
  m.blocked = m.saveDue = false;
  m.expiresAt = NEVER;
  m.out.rebase(0, NEVER);
  m.dialAt = now;
}

/** Handles that a server without a sidecar has answered an attempt to resume. */
export function answeredBare(m: Machine, now: number, connection: Connection, code: number): void {
  drop(m, now, connection, code, true);
  if (++m.bare >= MAX_BARE && !m.current) {
    lost(m, now, "no_sidecar");
  }
}

function dropAll(m: Machine): void {
  for (const connection of [m.current, m.dialling]) {
    if (connection) {
      connection.endCode ||= CODE.normal;
    }
  }
  m.current = m.dialling = m.restoring = null;
}

/** Ends a connection. `fault`: the peer did what it is likely to do again, so the next dial waits. */
export function drop(m: Machine, now: number, connection: Connection, code: number, fault = false): void {
  if (connection.endCode) {
    return;
  }
  connection.endCode = code;
  if (connection === m.dialling) {
    m.dialling = null;
    const again = m.unwelcomed && m.unwelcomed++ < MAX_UNWELCOMED;
    const goesOn = m.opened || m.resumeToken || m.settings.retryInitialConnect || again;
    const delay = goesOn ? m.backoff.next() : NEVER;
    m.dialAt = now + delay;
    emit(m, "connectfailed", { attempt: ++m.failedDials, code, reason: connection.failure, delay });
    if (!goesOn) {
      end(m, CODE.abnormal, "");
    }
  } else {
    m.current = null;
    m.lostAt = now;
    m.expiresAt = now + m.ttl;
    m.blocked = m.saveDue = m.durable; // what was received is claimed once it is on disk
    if (!m.ending) {
      setState(m, "reconnecting");
    }
    const lived = fault ? 0 : now - connection.startedAt;
    if (lived >= STABLE) {
      m.backoff.reset();
    }
    if (!m.dialling) {
      // PROTOCOL §4.2: others may have lost theirs in this moment, unless it is known that this one is alone.
      const within = connection.leaving || code === CODE.timeout ? 0 : m.firstWithin;
      m.dialAt = now + (m.backoff.next(lived >= MIN_LIFETIME) || within * m.chance());
    }
  }
}
