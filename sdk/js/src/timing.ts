import type { Connection } from "./connection.ts";
import { NEVER } from "./inbox.ts";
import { drop, end, lost, type Machine } from "./machine.ts";
import { ackLimit } from "./outgoing.ts";
import { goAway, PROBE_WAIT } from "./redial.ts";
import { less } from "./serial.ts";
import { CODE } from "./wire.ts";

/** How long the sidecar may take to send WELCOME on a new connection, in ms (PROTOCOL §2.3). */
const MAX_WELCOME_WAIT = 5000;

/** After so many intervals without a message a connection is probed; an interval later it is given up (PROTOCOL §6.2). */
const SILENT_INTERVALS = 3;

/** How late our own timer may fire, in ms. If it is later, we stood still, and messages may wait in the socket. */
const MAX_TIMER_DELAY = 500;

/** Does what is due, and returns when to be called again. `late` is how much later than that this call is. */
export function tick(m: Machine, now: number, late: number): number {
  let due = NEVER;
  const at = (time: number, act: () => void): void => {
    if (now >= time && m.stage !== "closed") {
      act();
      due = now; // what follows from that is for the next call
    } else {
      due = Math.min(due, time);
    }
  };
  const { current: connection, dialling: next } = m;
  // A CLOSE of the other side ends the session even if the rest never comes.
  at(m.closeDeadline, () =>
    m.ending?.byPeer ? end(m, m.ending.endCode, m.ending.endReason) : end(m, CODE.abnormal, ""),
  );
  if (next) {
    at(next.startedAt + (next.opened ? MAX_WELCOME_WAIT : m.settings.connectTimeout), () =>
      welcomeTimeout(m, now, next),
    );
  } else if (!m.blocked) {
    due = Math.min(due, m.dialAt);
  }
  if (!connection) {
    at(next ? NEVER : m.expiresAt, () => lost(m, now, "expired"));
  } else if (!m.plain) {
    const limited = less(ackLimit(m, connection), m.in.lastIn);
    at(limited || connection.ackDue ? NEVER : m.in.due, () => acknowledge(m, connection));
    const silent = m.beatInterval ? connection.lastReceived + SILENT_INTERVALS * m.beatInterval : NEVER;
    at(connection.probeDeadline || silent, () => checkSilence(m, now, connection, late > MAX_TIMER_DELAY));
  }
  return m.stage === "closed" ? NEVER : due;
}

/** No WELCOME came in time: it may be late, so the connection never counts as a plain one (PROTOCOL §2.3). */
function welcomeTimeout(m: Machine, now: number, connection: Connection): void {
  m.unwelcomed ||= connection.opened ? 1 : 0;
  connection.failure = "timeout";
  drop(m, now, connection, CODE.violation);
}

/** Schedules an ack. A durable session saves its state first. */
function acknowledge(m: Machine, connection: Connection): void {
  if (m.durable && m.savedReceived !== m.in.lastIn) {
    m.in.due = NEVER;
    m.saveDue = true;
  } else {
    connection.ackDue = true;
  }
}

/** Probes a silent connection, or gives it up (PROTOCOL §6.2). */
function checkSilence(m: Machine, now: number, connection: Connection, stalled: boolean): void {
  // Messages that came while we stood still may wait in the socket. In a hidden page timers are always late,
  // so a connection gets this grace once.
  if (connection.probeDeadline && (!stalled || connection.graceUsed)) {
    if (m.ending?.byPage) {
      // A path that is only slow may bring the answer all the same: this connection stays until another works.
      connection.probeDeadline = NEVER;
      goAway(m, connection, now);
    } else {
      drop(m, now, connection, CODE.timeout);
    }
    return;
  }
  connection.graceUsed = !!connection.probeDeadline;
  connection.probeDue = true;
  connection.probeDeadline = now + (stalled ? PROBE_WAIT : m.beatInterval);
}
