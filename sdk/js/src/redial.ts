import { Connection } from "./connection.ts";
import { NEVER } from "./inbox.ts";
import { connected, drop, end, goesOn, lost, type Machine, RENEWED } from "./machine.ts";
import { CODE } from "./wire.ts";

/** How long a probe after a wake may stay unanswered, in ms: a needless resume costs less than a longer wait. */
export const PROBE_WAIT = 2000;

/** Codes that may be due to a message (PROTOCOL §9.1). */
const REFUSING: readonly number[] = [CODE.unsupported, CODE.invalid, CODE.tooBig];

/** Codes of errors that a peer is likely to repeat. */
const FAULTS: readonly number[] = [CODE.violation, CODE.protocol, ...REFUSING];

/** Whether to dial now; `beginDial` must follow. A durable session offers no token that is not on disk. */
export function wantDial(m: Machine, now: number): boolean {
  return m.stage !== "closed" && !m.dialling && !m.blocked && now >= m.dialAt;
}

export function beginDial(m: Machine, now: number): Connection {
  m.dialAt = NEVER;
  return (m.dialling = new Connection(now));
}

/** Sets what a connection offers, right before its handshake. */
export function offer(m: Machine, connection: Connection): void {
  if (m.resumeToken) {
    // PROTOCOL §2.1: 0 means that no data is sent before WELCOME. While data is sent on the current connection
    // (§4.6), the next number is not known before; nor is it when the page before a reload may have sent more
    // than it saved; nor may any be sent before WELCOME tells whether a message that was refused had arrived after
    // all, or whether keys are taken (§4.12), or before the app's context is restored (§8.6). After a wrap the number
    // itself can be 0, and means the same.
    const next =
      m.current || !m.opened || m.out.oneByOne || m.restoring || m.settings.keys ? 0 : m.out.nextSeq;
    connection.offered = {
      token: m.resumeToken,
      lastIn: m.durable ? m.savedReceived : m.in.lastIn,
      next,
      dial: ++m.handshakes,
    };
    m.saveDue = m.durable; // for the page after a reload, which counts on
  }
}

/** Handles a handshake that a sidecar has answered. */
export function attach(m: Machine, now: number, connection: Connection): void {
  connection.opened = true;
  connection.startedAt = connection.lastReceived = now;
  if (connection.offered?.next) {
    m.out.restart(m.out.ackedTo);
  }
}

/** Handles a connection to a server that does not speak `wsr.v1` (PROTOCOL §2.3). */
export function attachPlain(m: Machine, now: number, connection: Connection, protocol: string): void {
  m.plain = true;
  m.appProtocol = protocol;
  m.out.rebase(0, NEVER);
  promote(m, now, connection);
  connected(m);
}

/** Makes a connection the current one. The one that it replaces has been superseded (PROTOCOL §8.1). */
export function promote(m: Machine, now: number, connection: Connection): void {
  if (m.current) {
    m.current.endCode = CODE.normal;
  }
  m.current = connection;
  m.dialling = null;
  m.failedDials = 0;
  m.expiresAt = NEVER;
  connection.opened = connection.welcomed = true;
  connection.startedAt = connection.lastReceived = now;
  if (m.opened && !connection.offered && m.settings.adopt) {
    goesOn(m, null, RENEWED, now - m.lostAt); // as `newSessionAfterReset` wants it
  }
}

/** Handles the end of a connection that was not decided here. */
export function broken(
  m: Machine,
  now: number,
  connection: Connection,
  code: number,
  reason: string,
  clean: boolean,
): void {
  const { ending } = m;
  if (connection.endCode) {
    return;
  }
  if (m.plain && connection.welcomed) {
    end(m, code, reason, clean);
  } else if (code === CODE.superseded && connection === m.current && !connection.leaving) {
    lost(m, now, "superseded"); // §8.1: another holder of the token has the session
  } else if (ending?.byPeer && connection.closeSent && code !== CODE.abnormal) {
    // §7: if it broke, our CLOSE is sent again after a resume, since it may not have arrived.
    end(m, ending.endCode, ending.endReason);
  } else {
    if (REFUSING.includes(code) && (connection === m.current || connection.offered?.next)) {
      if (connection === m.restoredOn) {
        m.refusals++;
      } else {
        m.out.refused(code);
      }
    }
    connection.failure ||= reason;
    drop(m, now, connection, code, FAULTS.includes(code));
  }
}

/** Has another connection made while this one works. */
export function goAway(m: Machine, connection: Connection, at: number): void {
  connection.leaving = true;
  if (connection === m.current && !m.dialling) {
    m.dialAt = at;
  }
}

/** Handles that the network may have changed, or the computer slept: finds out which connections still work. */
export function wake(m: Machine, now: number, wait = PROBE_WAIT): void {
  const { current: connection, dialling: next } = m;
  if (m.plain) {
    return;
  }
  if (connection) {
    connection.probeDue = true;
    connection.probeDeadline = Math.min(connection.probeDeadline || NEVER, now + wait);
    return;
  }
  if (next && m.resumeToken && now - next.startedAt > PROBE_WAIT) {
    // Browsers make one handshake per host at a time, and this one may never end.
    drop(m, now, next, CODE.normal);
  }
  if (!m.dialling) {
    m.backoff.reset();
    m.dialAt = now;
  }
}

/** Handles the end of a freeze. Browsers close the sockets of a frozen page without an event, so all are dropped. */
export function thaw(m: Machine, now: number): void {
  for (const connection of [m.dialling, m.current]) {
    if (connection && !m.plain) {
      drop(m, now, connection, CODE.abnormal);
    }
  }
  wake(m, now);
}
