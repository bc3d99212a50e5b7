import { CLOSE_WAIT, closeCame } from "./closing.ts";
import { again, reset, welcome } from "./greet.ts";
import { isNewer, parsePayload } from "./heartbeat.ts";
import type { Leg } from "./leg.ts";
import { drop, type Machine } from "./machine.ts";
import { attachBare } from "./redial.ts";
import { add, less } from "./serial.ts";
import type { Data } from "./store.ts";
import { CODE, type Control, decode, isMagic, TYPE, WireError } from "./wire.ts";

/** Takes a message from a connection. */
export function receive(m: Machine, now: number, leg: Leg, data: Data): void {
  if (leg.death) {
    return;
  }
  leg.heard = now;
  leg.dead = 0;
  leg.spared = false;
  try {
    if (m.bare || typeof data === "string" || !isMagic(data)) {
      app(m, now, leg, data);
    } else {
      control(m, now, leg, decode(data));
    }
  } catch (e) {
    if (!(e instanceof WireError)) {
      throw e;
    }
    drop(m, now, leg, CODE.violation, e.message, true);
  }
}

/** Takes a message of the app. */
function app(m: Machine, now: number, leg: Leg, data: Data): void {
  if (!leg.welcomed) {
    if (leg.resume) {
      throw new WireError("no WELCOME");
    }
    attachBare(m, now, leg, ""); // PROTOCOL §2.3
  }
  leg.count = add(leg.count, 1);
  // What is not later came before on another connection: while a client moves, two are open.
  if (m.bare || less(m.in.received, leg.count)) {
    m.outputs.push({ data, seq: leg.count });
  }
}

/** Notes that the page has a message: only now may it be acknowledged (PROTOCOL §5.2), at the latest after a delay. */
export function dispatched(m: Machine, now: number, seq: number, size: number, ackDelay: number): void {
  if (!m.bare) {
    m.in.dispatched(now, seq, size, now + ackDelay);
  }
}

function control(m: Machine, now: number, leg: Leg, c: Control): void {
  if (c.type === TYPE.welcome) {
    (leg.welcomed ? again : welcome)(m, now, leg, c);
  } else if (c.type === TYPE.reset && !leg.welcomed) {
    reset(m, now, leg, c.reason);
  } else if (c.type === TYPE.reset || !leg.welcomed) {
    throw new WireError("out of place");
  } else if (c.type === TYPE.escaped) {
    app(m, now, leg, c.data);
  } else if (c.type === TYPE.ack) {
    acked(m, now, c.seq);
  } else if (c.type === TYPE.heartbeat || c.type === TYPE.heartbeatAck) {
    if (c.sent !== leg.count) {
      throw new WireError("wrong sent");
    }
    acked(m, now, c.ack);
    const seq = parsePayload(c.payload);
    // One that is damaged or not newer is not answered (PROTOCOL §4.4).
    if (c.type === TYPE.heartbeat && isNewer(seq, leg.beat)) {
      leg.beat = seq;
      leg.answer = c.payload;
    }
  } else if (c.type === TYPE.goAway) {
    // Moving at a random moment keeps all the others from moving at the same one (§4.6).
    if (leg === m.leg && !m.rising) {
      m.dialAt = now + m.random() * c.delayMillis;
    }
  } else if (c.type === TYPE.close) {
    closeCame(m, now, leg, c.code, c.reason);
  }
}

function acked(m: Machine, now: number, seq: number): void {
  const before = m.out.acked;
  if (!m.out.ack(seq)) {
    throw new WireError("wrong ack");
  }
  if (m.out.acked !== before) {
    m.unsaved ||= m.durable; // what the app has is forgotten on disk as well
    if (m.closing?.local) {
      m.closeBy = now + CLOSE_WAIT; // it is still being delivered
    }
  }
}
