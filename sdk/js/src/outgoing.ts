import { sayClose } from "./closing.ts";
import { payload } from "./heartbeat.ts";
import { NEVER } from "./inbox.ts";
import type { Leg } from "./leg.ts";
import type { Machine } from "./machine.ts";
import { less } from "./serial.ts";
import type { Data } from "./store.ts";
import { encodeAck, encodeBeat, escapeData, isMagic, TYPE } from "./wire.ts";

/** Returns what is to be sent on a leg next, or null. */
export function nextMessage(m: Machine, now: number, leg: Leg): Data | null {
  if (leg.death || leg.closed || m.held) {
    return null;
  }
  const said = leg === m.leg && !m.bare ? speak(m, now, leg) : null;
  if (said) {
    return said;
  }
  // Before WELCOME only what was announced may flow (PROTOCOL §2.1). After the app's CLOSE nobody reads.
  const data = (leg === m.leg || leg.resume?.next) && !m.closing?.remote ? m.out.take() : null;
  if (data === null) {
    return sayClose(m, now, leg);
  }
  if (m.bare) {
    m.out.ack(m.out.sentSeq); // nobody acknowledges: what was sent is done
  }
  return !m.bare && typeof data !== "string" && isMagic(data) ? escapeData(data) : data;
}

/** Returns what is to be said besides data. Acks ride along with heartbeats. */
function speak(m: Machine, now: number, leg: Leg): Data | null {
  const ack = ackable(m, leg);
  let said: Data | null = null;
  if (leg.answer) {
    said = encodeBeat(TYPE.heartbeatAck, leg.answer, m.out.sentSeq, ack);
    leg.answer = null;
  } else if (leg.probe) {
    leg.probe = false;
    said = encodeBeat(TYPE.heartbeat, payload(++m.beats, now), m.out.sentSeq, ack);
  } else if (leg.ack || (m.closing && m.in.due < NEVER && ack === m.in.received)) {
    said = encodeAck(ack); // before CLOSE, what precedes it (PROTOCOL §7)
  }
  if (said) {
    leg.ack = false;
    m.in.told(ack);
  }
  return said;
}

/** Up to where messages may be acknowledged: also not beyond what is on disk. */
function ackable(m: Machine, leg: Leg): number {
  const seq = lower(m.in.received, ackLimit(m, leg));
  return m.durable ? lower(m.kept, seq) : seq;
}

/**
 * What a leg may acknowledge at most: what it has carried, since a sidecar that replays may not have sent
 * again what came before (PROTOCOL §4.3), and no more than a resume under way has claimed, whose position
 * would be one that nobody can serve (§4.6).
 */
export function ackLimit(m: Machine, leg: Leg): number {
  return lower(m.rising?.resume?.received ?? leg.count, leg.count);
}

function lower(a: number, b: number): number {
  return less(a, b) ? a : b;
}
