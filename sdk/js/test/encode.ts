// What only a sidecar says: for vectors, and for tests that play a sidecar.
import { encode, TYPE, u32, type Welcome } from "../src/wire.ts";

const u16 = (n: number): number[] => [n >>> 8, n];
const text = (s: string): Uint8Array => new TextEncoder().encode(s);

/** Bytes of a control message at most (PROTOCOL §11). */
export const MAX_CONTROL = 2048;

/** What a sidecar with default settings says of a new session; tests change what they are about. */
export const NEW_SESSION: Omit<Welcome, "type"> = {
  status: 0,
  reason: 0,
  session: "000102030405060708090a0b0c0d0e0f",
  epoch: 1,
  inboundAck: 0,
  nextOutbound: 1,
  heartbeatMillis: 5000,
  ttlMillis: 300_000,
  window: 1 << 20,
  maxMessage: 1 << 20,
  retryFirstMillis: 0,
  retryMostMillis: 0,
  token: "dG9rZW4",
  subprotocol: "",
};

/** Builds WELCOME (PROTOCOL §4.2); what is not given is that of NEW_SESSION. */
export function encodeWelcome(fields: Partial<Omit<Welcome, "type">> = {}): Uint8Array<ArrayBuffer> {
  const w = { ...NEW_SESSION, ...fields };
  const numbers = [
    w.epoch,
    w.inboundAck,
    w.nextOutbound,
    w.heartbeatMillis,
    w.ttlMillis,
    w.window,
    w.maxMessage,
    w.retryFirstMillis,
    w.retryMostMillis,
  ];
  return encode(
    TYPE.welcome,
    w.status,
    w.reason,
    ...Buffer.from(w.session, "hex"),
    ...numbers.flatMap(u32),
    ...u16(w.token.length),
    ...text(w.token),
    w.subprotocol.length,
    ...text(w.subprotocol),
  );
}

/** Builds GOAWAY (PROTOCOL §4.6). */
export function encodeGoAway(reason: number, delayMillis: number): Uint8Array<ArrayBuffer> {
  return encode(TYPE.goAway, reason, ...u32(delayMillis));
}

/** Builds RESET (PROTOCOL §4.8). */
export function encodeReset(reason: number, status?: number): Uint8Array<ArrayBuffer> {
  return encode(TYPE.reset, reason, ...(status ? [status >> 8, status & 0xff] : []));
}
