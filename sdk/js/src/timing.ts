import { NEVER } from "./inbox.ts";
import type { Leg } from "./leg.ts";
import { drop, end, lost, type Machine } from "./machine.ts";
import { ackLimit } from "./outgoing.ts";
import { attachBare, PROBE_WAIT } from "./redial.ts";
import { less } from "./serial.ts";
import { CODE } from "./wire.ts";

/** How long a new connection may take to say WELCOME, in ms (PROTOCOL §2.3). */
const WELCOME_WAIT = 5000;

/** So many intervals without a message make a connection suspect; it is probed, and given up an interval later (§6.2). */
const SILENT_INTERVALS = 3;

/** How late our own timer may come, in ms, before we take it that the silence was ours. */
const STALL = 500;

/** Does what is due, and returns when to be called again. `late` is by how much the caller missed that. */
export function tick(m: Machine, now: number, late: number): number {
  let next = NEVER;
  const at = (time: number, act: () => void): void => {
    if (now >= time && m.state !== "closed") {
      act();
      next = now; // what comes after that is for the next call
    } else {
      next = Math.min(next, time);
    }
  };
  const { leg, rising } = m;
  // What the other side said first is the end in any case.
  at(m.closeBy, () =>
    m.closing?.remote ? end(m, m.closing.code, m.closing.reason) : end(m, CODE.abnormal, ""),
  );
  if (rising) {
    at(rising.since + (rising.opened ? WELCOME_WAIT : m.settings.connectTimeout), () =>
      unwelcome(m, now, rising),
    );
  } else if (!m.held) {
    next = Math.min(next, m.dialAt);
  }
  if (!leg) {
    at(rising ? NEVER : m.expires, () => lost(m, now, "expired"));
  } else if (!m.bare) {
    const limited = less(ackLimit(m, leg), m.in.received);
    at(limited || leg.ack ? NEVER : m.in.due, () => acknowledge(m, leg));
    const silent = m.interval ? leg.heard + SILENT_INTERVALS * m.interval : NEVER;
    at(leg.dead || silent, () => listen(m, now, leg, late > STALL));
  }
  return m.state === "closed" ? NEVER : next;
}

/** Nobody says WELCOME. At the beginning of a session that means that there is no sidecar. */
function unwelcome(m: Machine, now: number, leg: Leg): void {
  if (leg.opened && !leg.resume) {
    attachBare(m, now, leg, "");
  } else {
    drop(m, now, leg, CODE.violation, "no WELCOME");
  }
}

/** Plans an ack; where the state is kept, after what it says was written. */
function acknowledge(m: Machine, leg: Leg): void {
  if (m.durable && m.kept !== m.in.received) {
    m.in.due = NEVER;
    m.unsaved = true;
  } else {
    leg.ack = true;
  }
}

/** Judges the silence of a connection (PROTOCOL §6.2). */
function listen(m: Machine, now: number, leg: Leg, stalled: boolean): void {
  // What the sidecar said while we stood still may wait in the socket. In a hidden page timers are always
  // late, so a connection is spared once only.
  if (leg.dead && (!stalled || leg.spared)) {
    drop(m, now, leg, CODE.timeout, "no heartbeat");
    return;
  }
  leg.spared = !!leg.dead;
  leg.probe = true;
  leg.dead = now + (stalled ? PROBE_WAIT : m.interval);
}
