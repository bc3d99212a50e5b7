import { NEVER } from "./inbox.ts";
import { Leg } from "./leg.ts";
import { connected, drop, end, lost, type Machine } from "./machine.ts";
import { CODE } from "./wire.ts";

/** How long a probe after a wake may stay unanswered, in ms: a needless resume costs less than a longer wait. */
export const PROBE_WAIT = 2000;

/** Codes of what the peer is likely to do again. */
const FAULTS: readonly number[] = [CODE.violation, CODE.protocol, CODE.tooBig];

/** Whether to dial now; `begin` must follow. A token that is not on disk is not shown to anybody. */
export function wantsDial(m: Machine, now: number): boolean {
  return m.state !== "closed" && !m.rising && !m.held && now >= m.dialAt;
}

export function begin(m: Machine, now: number): Leg {
  m.dialAt = NEVER;
  m.rising = new Leg(now);
  return m.rising;
}

/** Fixes what a leg offers, right before its handshake. */
export function offer(m: Machine, leg: Leg): void {
  if (m.token) {
    // While the old connection carries data it is not known before WELCOME what comes next (PROTOCOL §4.6),
    // nor is it when a former life of the page may have sent more than it could keep. After a wrap the number
    // can really be 0; then we wait as well (§2.1).
    const next = m.leg || !m.opened ? 0 : m.out.nextSeq;
    leg.resume = { token: m.token, received: m.durable ? m.kept : m.in.received, next };
    if (m.leg) {
      m.leg.rival = true;
    }
  }
}

/** Takes a handshake that was answered by a sidecar. */
export function attach(m: Machine, now: number, leg: Leg): void {
  leg.opened = true;
  leg.since = leg.heard = now;
  if (leg.resume?.next) {
    m.out.restart(m.out.acked);
  }
}

/** Takes a connection to a server that does not speak `wsr.v1` (PROTOCOL §2.3). */
export function attachBare(m: Machine, now: number, leg: Leg, protocol: string): void {
  m.bare = true;
  m.protocol = protocol;
  m.out.rebase(0, NEVER);
  promote(m, now, leg);
  connected(m);
}

/** Makes a leg the connection. What it replaces has been superseded (PROTOCOL §8.1). */
export function promote(m: Machine, now: number, leg: Leg): void {
  if (m.leg) {
    m.leg.death = { code: CODE.normal, reason: "moved" };
  }
  m.leg = leg;
  m.rising = null;
  m.expires = NEVER;
  leg.opened = leg.welcomed = true;
  leg.since = leg.heard = now;
}

/** Takes the end of a connection that was not decided here. */
export function broken(
  m: Machine,
  now: number,
  leg: Leg,
  code: number,
  reason: string,
  clean: boolean,
): void {
  const { closing } = m;
  if (leg.death) {
    return;
  }
  if (m.bare && leg.welcomed) {
    end(m, code, reason, clean);
  } else if (code === CODE.superseded && leg === m.leg && !leg.rival) {
    lost(m, now, "superseded"); // §8.1: another holder of the token has the session
  } else if (closing?.remote && leg.closed && code !== CODE.abnormal) {
    // Where it broke, a resume says again what may not have arrived (§7).
    end(m, closing.code, closing.reason);
  } else {
    // A violation is likely to repeat itself, so there is no hurry to meet it again.
    drop(m, now, leg, code, reason, FAULTS.includes(code));
  }
}

/** The network may have changed, or the machine slept: finds out what still works. */
export function wake(m: Machine, now: number): void {
  const { leg, rising } = m;
  if (m.bare) {
    return;
  }
  if (leg) {
    leg.probe = true;
    leg.dead = Math.min(leg.dead || NEVER, now + PROBE_WAIT);
    return;
  }
  if (rising && m.token && now - rising.since > PROBE_WAIT) {
    // Browsers make one handshake per host at a time, and this one may hang for ever.
    drop(m, now, rising, CODE.normal, "stuck");
  }
  if (!m.rising) {
    m.backoff.reset();
    m.dialAt = now;
  }
}

/** The page was frozen, and browsers close its sockets without a word: what there is cannot be trusted. */
export function thaw(m: Machine, now: number): void {
  for (const leg of [m.rising, m.leg]) {
    if (leg && !m.bare) {
      drop(m, now, leg, CODE.abnormal, "frozen");
    }
  }
  wake(m, now);
}
