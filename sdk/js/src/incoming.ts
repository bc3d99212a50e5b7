import { closeReceived, MAX_CLOSE_WAIT } from "./closing.ts";
import type { Connection } from "./connection.ts";
import { isNewer, parsePayload } from "./heartbeat.ts";
import { answeredBare, drop, type Machine } from "./machine.ts";
import { attachPlain, goAway } from "./redial.ts";
import { add, less } from "./serial.ts";
import type { Data } from "./store.ts";
import { laterWelcome, reset, welcome } from "./welcome.ts";
import { CODE, type Control, decode, isMagic, TYPE, WireError } from "./wire.ts";

/** Handles a message from a connection. */
export function receive(m: Machine, now: number, connection: Connection, data: Data): void {
  if (connection.endCode) {
    return;
  }
  connection.lastReceived = now;
  connection.probeDeadline = 0;
  connection.graceUsed = false;
  try {
    if (m.plain || !isMagic(data)) {
      appMessage(m, now, connection, data);
    } else {
      control(m, now, connection, decode(data));
    }
  } catch (e) {
    if (!(e instanceof WireError)) {
      throw e;
    }
    drop(m, now, connection, CODE.violation, true);
  }
}

/** Handles a message of the app. */
function appMessage(m: Machine, now: number, connection: Connection, data: Data): void {
  if (!connection.welcomed) {
    if (connection.offered) {
      answeredBare(m, now, connection, CODE.violation);
      return;
    }
    attachPlain(m, now, connection, ""); // PROTOCOL §2.3
  }
  connection.lastSeq = add(connection.lastSeq, 1);
  // Any other came before on another connection: while a client moves, two are open.
  if (m.plain || less(m.in.lastIn, connection.lastSeq)) {
    m.forPage.push({ data, seq: connection.lastSeq });
  }
}

/** Notes that a message was dispatched: from now on it may be acknowledged (PROTOCOL §5.2), at the latest after a delay. */
export function dispatched(m: Machine, now: number, seq: number, size: number, ackDelay: number): void {
  if (!m.plain) {
    m.in.dispatched(now, seq, size, now + ackDelay);
  }
}

function control(m: Machine, now: number, connection: Connection, c: Control): void {
  m.bare = 0;
  if (c.type === TYPE.welcome) {
    (connection.welcomed ? laterWelcome : welcome)(m, now, connection, c);
  } else if (c.type === TYPE.reset && !connection.welcomed) {
    reset(m, now, connection, c.reason, c.status);
  } else if (c.type === TYPE.reset || !connection.welcomed) {
    throw new WireError();
  } else if (c.type === TYPE.escaped) {
    appMessage(m, now, connection, c.data);
  } else if (c.type === TYPE.ack) {
    acked(m, now, c.seq);
  } else if (c.type === TYPE.heartbeat || c.type === TYPE.heartbeatAck) {
    if (c.sent !== connection.lastSeq) {
      throw new WireError();
    }
    acked(m, now, c.ack);
    const seq = parsePayload(c.payload);
    // One that is damaged or not newer is not answered (PROTOCOL §4.4).
    if (c.type === TYPE.heartbeat && isNewer(seq, connection.newestBeat)) {
      connection.newestBeat = seq;
      connection.heartbeatReply = c.payload;
    }
  } else if (c.type === TYPE.goAway) {
    goAway(m, connection, now + m.chance() * c.delayMillis); // §4.6: not all clients at once
  } else if (c.type === TYPE.close) {
    closeReceived(m, now, connection, c.code, c.reason);
  }
}

function acked(m: Machine, now: number, seq: number): void {
  const before = m.out.ackedTo;
  if (!m.out.ack(seq)) {
    throw new WireError();
  }
  if (m.out.ackedTo !== before) {
    m.refusals = 0;
    m.saveDue ||= m.durable; // acknowledged messages are deleted from the disk
    if (m.ending?.byPage) {
      m.closeDeadline = now + MAX_CLOSE_WAIT; // the rest is still being delivered
    }
  }
}
