import { NEVER } from "./inbox.ts";
import type { Leg } from "./leg.ts";
import { end, type Machine, move } from "./machine.ts";
import type { Data } from "./store.ts";
import { CODE, encodeClose } from "./wire.ts";

/** How long the other side may take to answer CLOSE, or to acknowledge what precedes it, in ms (PROTOCOL §7). */
export const CLOSE_WAIT = 5000;

/** The page closes. Before `open` there is nothing to close. */
export function close(m: Machine, now: number, code: number, reason: string): void {
  if (m.state === "closed") {
    return;
  }
  m.closing ??= { code, reason, local: true, remote: false };
  m.closing.local = true;
  m.closeBy = m.bare ? NEVER : now + CLOSE_WAIT; // a bare socket has a limit of its own
  move(m, "closing");
  if (!m.opened) {
    end(m, CODE.abnormal, "");
  }
}

/** Takes CLOSE. */
export function closeCame(m: Machine, now: number, leg: Leg, code: number, reason: string): void {
  if (m.closing?.local && leg.closed) {
    end(m, code, reason); // both have spoken, and all data came before
    return;
  }
  m.closing ??= { code, reason, local: false, remote: true };
  m.closing.remote = true;
  m.closeBy = now + CLOSE_WAIT;
  move(m, "closing");
}

/**
 * Returns CLOSE once all data was sent, which nobody waits for when the app has closed. The sidecar answers it,
 * or closes the connection if it spoke first.
 */
export function sayClose(m: Machine, now: number, leg: Leg): Data | null {
  if (!m.closing || leg !== m.leg || !(m.closing.remote || m.out.idle)) {
    return null;
  }
  leg.closed = true;
  if (m.bare) {
    return null; // the driver closes the socket
  }
  m.closeBy = now + CLOSE_WAIT;
  return encodeClose(m.closing.code, m.closing.reason);
}
