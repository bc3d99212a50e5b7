import { NEVER } from "./inbox.ts";
import type { Machine } from "./machine.ts";
import type { Data, Restored, Saved } from "./store.ts";

/** Goes on with what a former life of the page left behind. `wall` is the wall clock. */
export function restore(
  m: Machine,
  now: number,
  wall: number,
  left: Restored,
  size: (d: Data) => number,
): void {
  const { saved, messages } = left;
  m.token = saved.token;
  m.epoch = saved.epoch;
  m.in.start(saved.received);
  m.kept = saved.received;
  m.out.rebase(saved.acked, NEVER);
  m.out.shift = saved.shift;
  for (const { data } of messages) {
    m.out.push(data, size(data));
  }
  m.out.inherited = m.out.head;
  m.brokenAt = now;
  m.expires = now + Math.max(0, saved.expires - wall);
}

/** What a later life of the page needs. */
export function snapshot(m: Machine, now: number, wall: number): Saved {
  m.unsaved = false;
  return {
    token: m.token,
    epoch: m.epoch,
    received: m.in.received,
    acked: m.out.acked,
    shift: m.out.shift,
    protocol: m.protocol,
    expires: wall + (m.leg ? m.ttl : m.expires - now),
  };
}

/** Takes that a snapshot is on disk: what it says may be told to the sidecar. */
export function stored(m: Machine, saved: Saved): void {
  const isNews = m.kept !== saved.received;
  m.kept = saved.received;
  if (saved.token === m.token) {
    m.held = false;
    if (m.leg && isNews) {
      m.leg.ack = true;
    }
  }
}
