import { closeMessage } from "./closing.ts";
import type { Connection } from "./connection.ts";
import { payload } from "./heartbeat.ts";
import { NEVER } from "./inbox.ts";
import type { Machine } from "./machine.ts";
import { less } from "./serial.ts";
import type { Data } from "./store.ts";
import { encode, encodeAck, encodeBeat, encodeRestore, escapeData, isMagic, SKIPPED, TYPE } from "./wire.ts";

/** Returns what is to be sent on a connection next, or null. */
export function nextMessage(m: Machine, now: number, connection: Connection): Data | null {
  if (connection.endCode || m.blocked) {
    return null;
  }
  if (connection.closeSent) {
    return restored(m, connection); // the adoption crossed our CLOSE
  }
  const message = connection === m.current && !m.plain ? nextControl(m, now, connection) : null;
  if (message) {
    return message;
  }
  // Before WELCOME data may be sent only if the offer said so (PROTOCOL §2.1). After its CLOSE the app does not read.
  const data =
    (connection === m.current || connection.offered?.next) && !m.ending?.byPeer ? m.out.take() : null;
  if (data === null) {
    return closeMessage(m, now, connection);
  }
  if (m.plain) {
    m.out.ack(m.out.sentSeq); // a plain peer does not acknowledge: what was sent is done
  }
  return !m.plain && data !== SKIPPED && isMagic(data) ? escapeData(data) : data;
}

/** Returns the control message to be sent next, or null. Heartbeats carry acks too. */
function nextControl(m: Machine, now: number, connection: Connection): Data | null {
  const ack = ackable(m, connection);
  let message: Data | null = null;
  if (connection.heartbeatReply) {
    message = encodeBeat(TYPE.heartbeatAck, connection.heartbeatReply, m.out.sentSeq, ack);
    connection.heartbeatReply = null;
  } else if (connection.probeDue || (m.out.asks && m.out.idle)) {
    connection.probeDue = m.out.asks = false; // its answer carries the ack
    message = encodeBeat(TYPE.heartbeat, payload(++m.heartbeats, now), m.out.sentSeq, ack);
  } else if (connection.ackDue || (m.ending && m.in.due < NEVER && ack === m.in.lastIn)) {
    message = encodeAck(ack); // before CLOSE, of all that came before it (PROTOCOL §7)
  }
  if (message) {
    connection.ackDue = false;
    m.in.acknowledged(ack);
  }
  return message ?? restored(m, connection);
}

/** Returns what restores the app's context, and RESTORED behind it (PROTOCOL §8.6), or null. */
function restored(m: Machine, connection: Connection): Data | null {
  const { restoring: restore } = m;
  if (connection.restoredDue) {
    connection.restoredDue--;
  } else if (restore?.peer === connection) {
    const [entry] = restore.toSend;
    if (entry?.data instanceof Blob || (!entry && !restore.allSaid)) {
      return null;
    }
    if (entry) {
      restore.toSend.shift();
      m.restoredOn = connection;
      return encodeRestore(m.out.sayAhead(entry));
    }
    m.restoring = m.out.last = null;
  } else {
    return null;
  }
  return encode(TYPE.restored);
}

/** The last message that may be acknowledged: a durable session acknowledges only what is on disk. */
function ackable(m: Machine, connection: Connection): number {
  const seq = lower(m.in.lastIn, ackLimit(m, connection));
  return m.durable ? lower(m.savedReceived, seq) : seq;
}

/**
 * The last message that may be acknowledged on a connection: no more than came there, since a sidecar that
 * replays may not have sent again what came before (PROTOCOL §4.3), and no more than a resume under way has
 * claimed, whose position the sidecar could not serve any more (§4.6).
 */
export function ackLimit(m: Machine, connection: Connection): number {
  return lower(m.dialling?.offered?.lastIn ?? connection.lastSeq, connection.lastSeq);
}

function lower(a: number, b: number): number {
  return less(a, b) ? a : b;
}
