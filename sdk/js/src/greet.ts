import type { AdoptReason, LostReason } from "./events.ts";
import type { Leg } from "./leg.ts";
import { connected, drop, lost, type Machine, tell } from "./machine.ts";
import { promote } from "./redial.ts";
import { add, less } from "./serial.ts";
import { CODE, type Welcome, WireError } from "./wire.ts";

/** WELCOME's status (PROTOCOL §4.2). */
const NEW = 0;
const ADOPTED = 2;

/** Its reason when the old owner's last messages may be missing. */
const OWNER_LOST = 2;

/** By the reasons of an adoption, and of RESET, both of which begin at 1. */
const ADOPT_REASONS: readonly AdoptReason[] = ["drained", "owner_lost", "app_restarted"];
const LOST_REASONS: readonly LostReason[] = ["unknown", "token", "lost", "unauthorised"];

/** Takes the first WELCOME of a connection. */
export function welcome(m: Machine, now: number, leg: Leg, w: Welcome): void {
  const { resume } = leg;
  if (!w.token || (w.status === NEW) === !!resume || (resume && less(w.epoch, m.epoch))) {
    throw new WireError("WELCOME does not fit"); // I5: an owner may have been replaced and not know it yet
  }
  if (!resume) {
    m.in.start(add(w.nextOutbound, -1));
    m.out.rebase(w.inboundAck, w.window);
  } else if (w.nextOutbound !== add(resume.received, 1)) {
    drop(m, now, leg, CODE.violation, "WELCOME: wrong position");
    lost(m, now, "violation"); // §4.2: its idea of the session is not ours
    return;
  } else if (w.reason === OWNER_LOST && m.in.received !== resume.received) {
    // What came on the old connection since then has numbers that the new owner may give to others (§8.3).
    lost(m, now, "lost");
    return;
  } else if (!reposition(m, resume.next, w)) {
    throw new WireError("WELCOME: wrong ack");
  }
  const away = m.leg ? 0 : now - m.brokenAt;
  promote(m, now, leg);
  welcomed(m, leg, w);
  if (resume) {
    goesOn(m, w, away);
  }
}

function goesOn(m: Machine, w: Welcome, away: number): void {
  tell(m, w.reason ? "adopted" : "resumed", { reason: ADOPT_REASONS[w.reason - 1], away });
}

/** Moves the outbox to where WELCOME says that the sidecar is. */
function reposition(m: Machine, next: number, w: Welcome): boolean {
  const { out } = m;
  let at = add(w.inboundAck, -out.shift);
  const behind = less(at, out.acked);
  if (behind && (next || w.status !== ADOPTED)) {
    return false;
  }
  if (next) {
    return out.ack(w.inboundAck);
  }
  if (behind) {
    // PROTOCOL §8.3: the journal lacks acknowledgements that we have, and the new owner counts our outbox
    // from its own position.
    at = out.acked;
    out.shift = add(w.inboundAck, -at);
  }
  // A former life of the page may have sent more than it could keep; this one knows what it sent.
  if (m.opened && !out.hasSent(at)) {
    return false;
  }
  out.restart(at);
  return true;
}

/** Notes what every WELCOME tells. */
function welcomed(m: Machine, leg: Leg, w: Welcome): void {
  leg.ack = true; // PROTOCOL §8.4: it shows that the token has arrived
  leg.count = add(w.nextOutbound, -1);
  m.token = w.token;
  m.session = w.session;
  m.epoch = w.epoch;
  m.protocol = w.subprotocol;
  m.interval = w.heartbeatMillis;
  m.ttl = w.ttlMillis;
  m.maxMessage = w.maxMessage;
  m.out.limit = w.window;
  m.held = m.unsaved = m.durable;
  connected(m);
}

/** Takes a later WELCOME on a connection: the app's socket is new (PROTOCOL §4.2). */
export function again(m: Machine, _now: number, leg: Leg, w: Welcome): void {
  const fits = w.status === ADOPTED && w.nextOutbound === add(leg.count, 1) && !less(w.epoch, m.epoch);
  if (!w.token || !fits || !m.out.ack(w.inboundAck)) {
    throw new WireError("WELCOME does not fit");
  }
  welcomed(m, leg, w);
  goesOn(m, w, 0);
}

/** Takes RESET (PROTOCOL §4.8). Beyond the reasons that end a session is `try again`. */
export function reset(m: Machine, now: number, leg: Leg, reason: number): void {
  // While the old connection works, a refusal of its successor is not the end; the last word is had when it
  // is gone.
  const why = m.leg ? undefined : LOST_REASONS[reason - 1];
  drop(m, now, leg, CODE.reset, "");
  if (why) {
    lost(m, now, why);
  }
}
