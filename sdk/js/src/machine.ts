import { Backoff } from "./backoff.ts";
import { type LostReason, makeEvent, type State } from "./events.ts";
import { Inbox, NEVER } from "./inbox.ts";
import type { Leg } from "./leg.ts";
import type { Settings } from "./options.ts";
import { Outbox } from "./outbox.ts";
import type { Data } from "./store.ts";
import { CODE } from "./wire.ts";

/** A connection that lived shorter, in ms, is not redialled at once: somebody might accept and drop us for ever. */
const SETTLED = 1000;

/** A message of the app, which is to be dispatched; after that, `dispatched` is called. */
export interface AppMessage {
  readonly data: Data;
  readonly seq: number;
}

/** How the session comes to its end (PROTOCOL §7). */
export interface Closing {
  readonly code: number;
  readonly reason: string;
  local: boolean;
  remote: boolean;
}

/**
 * The client's end of `wsr.v1`, or an ordinary WebSocket where there is no sidecar. It does no I/O, starts
 * nothing and reads no clock; all times are in ms on one clock that never goes back.
 *
 * Its driver feeds it what happens (incoming.ts, redial.ts, closing.ts, keeping.ts) and then, in this order:
 * dispatches `outputs`, from the first; calls `tick`, which says when to call it again; saves the state if it
 * is `unsaved`; closes the sockets of legs that have a `death`; sends what `nextMessage` returns for the
 * others; dials if `wantsDial`.
 */
export class Machine {
  readonly settings: Settings;
  readonly random: () => number;
  readonly backoff: Backoff;
  readonly out = new Outbox();
  readonly in = new Inbox();
  readonly outputs: (Event | AppMessage)[] = [];

  state: State = "connecting";
  /** The page has heard `open`. */
  opened = false;
  /** There is no sidecar. */
  bare = false;
  closing: Closing | null = null;
  closeBy = NEVER;

  /** The connection in use. */
  leg: Leg | null = null;
  /** One that is under way: dialled, and not welcomed yet. */
  rising: Leg | null = null;
  /** The next dial. */
  dialAt = 0;
  /** When `leg` was lost. */
  brokenAt = 0;
  /** When the sidecar will have forgotten the session, while there is no `leg`. */
  expires = NEVER;

  // What the last WELCOME said.
  token = "";
  session = "";
  epoch = 0;
  protocol = "";
  interval = 0;
  ttl = 0;
  maxMessage = NEVER;

  /** Number of our last HEARTBEAT. */
  beats = 0;
  /** The state is kept on disk, and the sidecar hears of nothing that is not: see keeping.ts. */
  durable = false;
  unsaved = false;
  /** Nothing may be sent: the new token, or what a resume is to claim, is not on disk yet. */
  held = false;
  /** Up to where messages were received, says the disk. */
  kept = 0;

  constructor(settings: Settings, random: () => number) {
    this.settings = settings;
    this.random = random;
    this.backoff = new Backoff(settings.backoffBase, settings.backoffMax, random);
  }
}

/** The page is to hear of something. */
export function tell(m: Machine, type: string, fields?: object): void {
  m.outputs.push(makeEvent(type, fields));
}

/** The state changes. */
export function move(m: Machine, state: State): void {
  if (state !== m.state) {
    tell(m, "statechange", { state, previous: m.state });
    m.state = state;
  }
}

/** The page's socket is open, or works again. */
export function connected(m: Machine): void {
  if (!m.closing) {
    move(m, "connected");
  }
  if (!m.opened) {
    m.opened = true;
    tell(m, "open");
  }
}

/** The end of the session. */
export function end(m: Machine, code: number, reason: string, clean = code !== CODE.abnormal): void {
  if (m.state === "closed") {
    return;
  }
  m.out.fail("closed");
  move(m, "closed");
  forsake(m);
  if (!clean) {
    tell(m, "error");
  }
  tell(m, "close", { code, reason, wasClean: clean });
}

/** The session cannot go on. The page is told, and then it ends or begins anew. */
export function lost(m: Machine, now: number, reason: LostReason): void {
  const { closing } = m;
  if (m.state === "closed") {
    return;
  }
  if (closing && (closing.remote || !m.out.unacked)) {
    end(m, closing.code, closing.reason); // nothing is missing
    return;
  }
  tell(m, "reset", { reason, unacknowledged: m.out.fail(reason) });
  if (closing || (m.opened && !m.settings.renew)) {
    end(m, reason === "superseded" ? CODE.superseded : CODE.reset, `session lost: ${reason}`, false);
    return;
  }
  // Where a former life's session is lost, this page has still asked for a socket.
  forsake(m);
  if (m.opened) {
    move(m, "reconnecting");
  }
  m.token = "";
  m.held = m.unsaved = false;
  m.expires = NEVER;
  m.out.rebase(0, NEVER);
  m.dialAt = now;
}

function forsake(m: Machine): void {
  for (const leg of [m.leg, m.rising]) {
    if (leg) {
      leg.death ??= { code: CODE.normal, reason: "" };
    }
  }
  m.leg = m.rising = null;
}

/** A connection ends. `fault`: the peer behaved in a way that is likely to repeat itself. */
export function drop(m: Machine, now: number, leg: Leg, code: number, reason: string, fault = false): void {
  if (leg.death) {
    return;
  }
  leg.death = { code, reason };
  if (leg === m.rising) {
    m.rising = null;
    if (m.opened || m.token || m.settings.retryFirst) {
      m.dialAt = now + m.backoff.next();
    } else {
      end(m, CODE.abnormal, reason);
    }
  } else {
    m.leg = null;
    detached(m, now, leg, fault);
  }
}

function detached(m: Machine, now: number, leg: Leg, fault: boolean): void {
  m.brokenAt = now;
  m.expires = now + m.ttl;
  m.held = m.unsaved = m.durable; // what was received is claimed once it is on disk
  if (!m.closing) {
    move(m, "reconnecting");
  }
  if (!fault) {
    m.backoff.reset();
  }
  if (!m.rising) {
    m.dialAt = fault || now - leg.since < SETTLED ? now + m.backoff.next() : now;
  }
}
