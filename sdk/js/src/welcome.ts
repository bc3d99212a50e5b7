import type { Connection } from "./connection.ts";
import type { LostReason } from "./events.ts";
import { connected, drop, emit, goesOn, lost, type Machine } from "./machine.ts";
import { promote } from "./redial.ts";
import { add, less } from "./serial.ts";
import { BY_SIDECAR, CODE, type Welcome, WireError } from "./wire.ts";

/** WELCOME's status (PROTOCOL §4.2). */
const NEW = 0;
const ADOPTED = 2;

/** Its reason if the old owner's last messages may be missing. */
const OWNER_LOST = 2;

/** By the reasons in RESET, which start at 1. */
const LOST_REASONS: readonly LostReason[] = ["unknown", "token", "lost", "unauthorised"];

/** Handles the first WELCOME of a connection. */
export function welcome(m: Machine, now: number, connection: Connection, w: Welcome): void {
  const { offered: resume } = connection;
  if (!w.token || (w.status === NEW) === !!resume || (resume && less(w.epoch, m.ownerEpoch))) {
    throw new WireError(); // I5: the epoch of an owner that was replaced and does not know it yet is older
  }
  if (!resume) {
    m.in.start(add(w.nextOutbound, -1));
    m.out.rebase(w.inboundAck, w.window);
  } else if (w.nextOutbound !== add(resume.lastIn, 1)) {
    drop(m, now, connection, CODE.violation);
    lost(m, now, "violation"); // PROTOCOL §4.2: the sidecar's state of the session is not ours
    return;
  } else if (w.reason % BY_SIDECAR === OWNER_LOST && m.in.lastIn !== resume.lastIn) {
    // PROTOCOL §8.3: the new owner may give the numbers of what came on the old connection since then to others.
    lost(m, now, "lost");
    return;
  } else if (!reposition(m, resume.next, w)) {
    throw new WireError();
  }
  const away = m.current ? 0 : now - m.lostAt;
  promote(m, now, connection);
  applyWelcome(m, connection, w);
  if (resume) {
    goesOn(m, connection, w.reason, away);
    const rejected = m.out.reject();
    if (rejected) {
      emit(m, "rejected", rejected);
    }
  }
}

/** Moves the outbox to the sidecar's position; false: that position is not possible. */
function reposition(m: Machine, next: number, w: Welcome): boolean {
  const { out } = m;
  let at = add(w.inboundAck, -out.wireShift);
  const behind = less(at, out.ackedTo);
  if (behind && (next || w.status !== ADOPTED)) {
    return false;
  }
  if (next) {
    return out.ack(w.inboundAck);
  }
  if (behind) {
    // PROTOCOL §8.3: the journal lacks acknowledgements that we have, and the new owner counts our outbox
    // from its own position.
    at = out.ackedTo;
    out.wireShift = add(w.inboundAck, -at);
  }
  // The page before a reload may have sent more than it saved; this one knows what it sent.
  if (m.opened && !out.hasSent(at)) {
    return false;
  }
  out.restart(at);
  return true;
}

/** Takes over the fields of a WELCOME. */
function applyWelcome(m: Machine, connection: Connection, w: Welcome): void {
  connection.ackDue = true; // PROTOCOL §8.4: it confirms the token
  connection.lastSeq = add(w.nextOutbound, -1);
  m.resumeToken = w.token;
  m.session = w.session;
  m.ownerEpoch = w.epoch;
  m.appProtocol = w.subprotocol;
  m.beatInterval = w.heartbeatMillis;
  m.firstWithin = w.retryFirstMillis;
  if (w.retryMostMillis && !m.settings.maxReconnectDelay) {
    m.backoff.limitTo(w.retryMostMillis);
  }
  m.ttl = w.ttlMillis;
  m.maxMessage = w.maxMessage;
  m.out.limit = w.window;
  m.blocked = m.saveDue = m.durable;
  connected(m);
}

/** Handles another WELCOME on a connection: the app's socket is new (PROTOCOL §4.2). */
export function laterWelcome(m: Machine, _now: number, connection: Connection, w: Welcome): void {
  const fits =
    w.status === ADOPTED && w.nextOutbound === add(connection.lastSeq, 1) && !less(w.epoch, m.ownerEpoch);
  if (!w.token || !fits || !m.out.ack(w.inboundAck)) {
    throw new WireError();
  }
  applyWelcome(m, connection, w);
  goesOn(m, connection, w.reason, 0);
}

/** Handles RESET (PROTOCOL §4.8). Its last reason, `try again`, does not end the session. */
export function reset(m: Machine, now: number, connection: Connection, reason: number, status: number): void {
  // While the current connection works, a refusal of the next one does not end the session; but the
  // app's refusal has ended it, and so may a close whose answer did not come.
  const closed = m.ending && !m.out.unacked;
  const why = (status || !m.current || closed) && LOST_REASONS[reason - 1];
  drop(m, now, connection, CODE.reset);
  if (why) {
    lost(m, now, why, status);
  }
}
