import type { Connection } from "./connection.ts";
import { NEVER } from "./inbox.ts";
import { end, type Machine, setState } from "./machine.ts";
import { wake } from "./redial.ts";
import type { Data } from "./store.ts";
import { CODE, encodeClose } from "./wire.ts";

/** How long the other side may take to answer CLOSE, or to acknowledge what precedes it, in ms (PROTOCOL §7). */
export const MAX_CLOSE_WAIT = 5000;

/** How long nothing may come once the page has closed, until another connection is made, in ms (PROTOCOL §7). */
const CLOSE_PROBE_WAIT = 1000;

/** Starts the close by the page. Before `open` it ends the session at once. */
export function close(m: Machine, now: number, code: number, reason: string): void {
  if (m.stage === "closed") {
    return;
  }
  m.ending ??= { endCode: code, endReason: reason, byPage: false, byPeer: false };
  m.ending.byPage = true;
  m.closeDeadline = m.plain ? NEVER : now + MAX_CLOSE_WAIT; // browsers limit the wait of a plain socket
  setState(m, "closing");
  if (!m.opened) {
    end(m, CODE.abnormal, "");
  } else {
    wake(m, now, CLOSE_PROBE_WAIT); // the page may be gone before the next attempt, or before a dead connection is noticed
  }
}

/** Handles CLOSE (PROTOCOL §4.7). */
export function closeReceived(
  m: Machine,
  now: number,
  connection: Connection,
  code: number,
  reason: string,
): void {
  if (m.ending?.byPage && connection.closeSent) {
    end(m, code, reason); // each side has sent CLOSE, and all data came before
    return;
  }
  m.ending ??= { endCode: code, endReason: reason, byPage: false, byPeer: false };
  m.ending.byPeer = true;
  m.closeDeadline = now + MAX_CLOSE_WAIT;
  setState(m, "closing");
}

/**
 * Returns CLOSE once all data was sent; in answer to the app's CLOSE at once, since the app does not read any
 * more. The sidecar answers it, or closes the connection if its own came first.
 */
export function closeMessage(m: Machine, now: number, connection: Connection): Data | null {
  if (!m.ending || connection !== m.current || !(m.ending.byPeer || (m.out.idle && !m.restoring))) {
    return null;
  }
  connection.closeSent = true;
  if (m.plain) {
    return null; // the driver closes the socket
  }
  m.closeDeadline = now + MAX_CLOSE_WAIT;
  return encodeClose(m.ending.endCode, m.ending.endReason);
}
