import { Backoff } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { type LostReason, makeEvent, type State } from "./events.ts";
import { Inbox, NEVER } from "./inbox.ts";
import type { Settings } from "./options.ts";
import { Outbox } from "./outbox.ts";
import type { Data } from "./store.ts";
import { CODE } from "./wire.ts";

/**
 * How long a connection must have lived, in ms, for the first dial after its loss to be immediate, and for the
 * waits between dials to be short again. What accepts connections and drops them again and again, be it at once
 * or after a while, would otherwise be dialled in a loop.
 */
const MIN_LIFETIME = 1000;
const STABLE = 3000;

/** How many attempts a first connection has at most if a sidecar answers without WELCOME. */
const MAX_UNWELCOMED = 3;

/** A message of the app that is to be dispatched; `dispatched` must be called after it. */
export interface AppMessage {
  readonly data: Data;
  readonly seq: number;
}

/** The state of the session's close (PROTOCOL §7). */
export interface Closing {
  readonly code: number;
  readonly reason: string;
  local: boolean;
  remote: boolean;
}

/**
 * The client's end of `wsr.v1`, or of a plain WebSocket where there is no sidecar. It does no I/O, starts no
 * timer and reads no clock; all times are in ms on one monotonic clock.
 *
 * Its driver feeds it what happens (incoming.ts, redial.ts, closing.ts, saving.ts) and then performs what is
 * pending, in this order: it dispatches `outputs`, from the first; calls `tick`, which returns when to call it
 * again; saves the state if `saveDue`; closes the sockets of connections that are `closed`; sends what
 * `nextMessage` returns for the others; dials if `wantDial`.
 */
export class Machine {
  readonly settings: Settings;
  readonly random: () => number;
  readonly backoff: Backoff;
  readonly out = new Outbox();
  readonly in = new Inbox();
  readonly outputs: (Event | AppMessage)[] = [];

  state: State = "connecting";
  /** `open` was dispatched. */
  opened = false;
  /** There is no sidecar. */
  plain = false;
  closing: Closing | null = null;
  closeDeadline = NEVER;

  /** The connection in use; null while detached. */
  current: Connection | null = null;
  /** One that was dialled and is not welcomed yet. */
  next: Connection | null = null;
  /** Attempts since one was answered with `wsr.v1` and without WELCOME; 0: there was none. */
  unwelcomed = 0;
  /** When to dial next. */
  dialAt = 0;
  /** When `current` was lost. */
  lostAt = 0;
  /** When the sidecar will have ended the session, while detached. */
  expires = NEVER;

  // From the last WELCOME.
  token = "";
  /** Handshakes that offered a token. */
  dials = 0;
  session = "";
  epoch = 0;
  protocol = "";
  interval = 0;
  ttl = 0;
  maxMessage = NEVER;

  /** Number of our last HEARTBEAT. */
  heartbeats = 0;
  /** The state is saved on disk, and the sidecar is told of nothing that is not: see saving.ts. */
  durable = false;
  saveDue = false;
  /** Nothing may be sent: the new token, or the position that a resume is to claim, is not on disk yet. */
  blocked = false;
  /** `in.received` as it is on disk. */
  savedReceived = 0;

  constructor(settings: Settings, random: () => number) {
    this.settings = settings;
    this.random = random;
    this.backoff = new Backoff(settings.reconnectDelay, settings.maxReconnectDelay, random);
  }
}

/** Adds an event to the outputs. */
export function emit(m: Machine, type: string, fields?: object): void {
  m.outputs.push(makeEvent(type, fields));
}

/** Changes the state. */
export function setState(m: Machine, state: State): void {
  if (state !== m.state) {
    emit(m, "statechange", { state, previous: m.state });
    m.state = state;
  }
}

/** The socket is open, or works again. */
export function connected(m: Machine): void {
  if (!m.closing) {
    setState(m, "connected");
  }
  if (!m.opened) {
    m.opened = true;
    emit(m, "open");
  }
}

/** Ends the session. */
export function end(m: Machine, code: number, reason: string, clean = code !== CODE.abnormal): void {
  if (m.state === "closed") {
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
  const { closing } = m;
  if (m.state === "closed") {
    return;
  }
  if (closing && (closing.remote || !m.out.unacked)) {
    end(m, closing.code, closing.reason); // nothing is missing
    return;
  }
  emit(m, "reset", { reason, status, unacknowledged: m.out.fail(reason) });
  if (closing || (m.opened && !m.settings.newSessionAfterReset)) {
    end(m, reason === "superseded" ? CODE.superseded : CODE.reset, `session lost: ${reason}`, false);
    return;
  }
  // If it is a saved session that is lost before `open`, the page still wants a connection.
  dropAll(m);
  if (m.opened) {
    setState(m, "reconnecting");
  }
  m.token = "";
  m.blocked = m.saveDue = false;
  m.expires = NEVER;
  m.out.rebase(0, NEVER);
  m.dialAt = now;
}

function dropAll(m: Machine): void {
  for (const connection of [m.current, m.next]) {
    if (connection) {
      connection.closed ??= { code: CODE.normal, reason: "" };
    }
  }
  m.current = m.next = null;
}

/** Ends a connection. `fault`: the peer did what it is likely to do again, so the next dial waits. */
export function drop(
  m: Machine,
  now: number,
  connection: Connection,
  code: number,
  reason: string,
  fault = false,
): void {
  if (connection.closed) {
    return;
  }
  connection.closed = { code, reason };
  if (connection === m.next) {
    m.next = null;
    const again = m.unwelcomed && m.unwelcomed++ < MAX_UNWELCOMED;
    if (m.opened || m.token || m.settings.retryInitialConnect || again) {
      m.dialAt = now + m.backoff.next();
    } else {
      end(m, CODE.abnormal, reason);
    }
  } else {
    m.current = null;
    m.lostAt = now;
    m.expires = now + m.ttl;
    m.blocked = m.saveDue = m.durable; // what was received is claimed once it is on disk
    if (!m.closing) {
      setState(m, "reconnecting");
    }
    const lived = fault ? 0 : now - connection.since;
    if (lived >= STABLE) {
      m.backoff.reset();
    }
    if (!m.next) {
      m.dialAt = now + m.backoff.next(lived >= MIN_LIFETIME);
    }
  }
}
