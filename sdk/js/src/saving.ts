import { NEVER } from "./inbox.ts";
import type { Machine } from "./machine.ts";
import { type Data, type Restored, type Saved, UNSAVED_DIALS } from "./store.ts";

/** Continues with what the page before a reload has saved. `wall` is the wall clock. */
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
  m.savedReceived = saved.received;
  m.out.rebase(saved.acked, NEVER);
  m.out.shift = saved.shift;
  m.dials = saved.dials + UNSAVED_DIALS;
  for (const { data } of messages) {
    m.out.push(data, size(data));
  }
  m.out.inherited = m.out.head;
  m.lostAt = now;
  m.expires = now + Math.max(0, saved.expires - wall);
}

/** Returns what the page needs after a reload. */
export function snapshot(m: Machine, now: number, wall: number): Saved {
  m.saveDue = false;
  return {
    token: m.token,
    epoch: m.epoch,
    received: m.in.received,
    acked: m.out.acked,
    shift: m.out.shift,
    dials: m.dials,
    protocol: m.protocol,
    expires: wall + (m.current ? m.ttl : m.expires - now),
  };
}

/** Notes that a snapshot is on disk: its positions may be told to the sidecar. */
export function snapshotSaved(m: Machine, saved: Saved): void {
  const isNew = m.savedReceived !== saved.received;
  m.savedReceived = saved.received;
  if (saved.token === m.token) {
    m.blocked = false;
    if (m.current && isNew) {
      m.current.ackDue = true;
    }
  }
}
