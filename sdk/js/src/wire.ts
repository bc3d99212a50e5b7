import type { Data } from "./store.ts";
import { encoder } from "./utf8.ts";

/** Selected by a sidecar (PROTOCOL §2). */
export const SUBPROTOCOL = "wsr.v1";

/** Bytes of a close reason: what fits a close frame beside its code (RFC 6455 §5.5). */
export const MAX_CLOSE_REASON = 123;

/** Starts every binary message that is ours: FF W S R (PROTOCOL §3.2). The type follows. */
const MAGIC = [0xff, 0x57, 0x53, 0x52] as const;
const PREFIX = MAGIC.length + 1;

/** A token: base64url without padding, of at most 1,024 characters (PROTOCOL §2.1). */
const TOKEN = /^[\w-]{0,1024}$/;

const HEARTBEAT_PAYLOAD = 13;

/** Close codes (PROTOCOL §9). */
export const CODE = {
  normal: 1000,
  goingAway: 1001,
  /** Broken framing. */
  protocol: 1002,
  /** Never sent: the close frame was empty. */
  noStatus: 1005,
  /** Never sent: the connection broke. */
  abnormal: 1006,
  unsupported: 1003,
  invalid: 1007,
  tooBig: 1009,
  internal: 1011,
  restart: 1012,
  violation: 4400,
  timeout: 4408,
  superseded: 4409,
  reset: 4410,
} as const;

/** Types of control messages (PROTOCOL §4). */
export const TYPE = {
  escaped: 0,
  welcome: 1,
  ack: 2,
  heartbeat: 3,
  heartbeatAck: 4,
  goAway: 5,
  close: 6,
  reset: 7,
  restore: 8,
  restored: 9,
} as const;

/** WELCOME (PROTOCOL §4.2). */
/** In WELCOME's reason: the sidecar tells the app's fresh socket all that it has to hear. */
export const BY_SIDECAR = 128;

export interface Welcome {
  readonly type: typeof TYPE.welcome;
  readonly status: number;
  /** BY_SIDECAR more if that holds. */
  readonly reason: number;
  /** In hexadecimal. */
  readonly session: string;
  readonly epoch: number;
  readonly inboundAck: number;
  readonly nextOutbound: number;
  readonly heartbeatMillis: number;
  readonly ttlMillis: number;
  readonly window: number;
  readonly maxMessage: number;
  readonly retryFirstMillis: number;
  readonly retryMostMillis: number;
  readonly token: string;
  readonly subprotocol: string;
}

/** A control message, or a data message that had to be escaped. */
export type Control =
  | { readonly type: typeof TYPE.escaped; readonly data: Uint8Array<ArrayBuffer> }
  | Welcome
  | { readonly type: typeof TYPE.ack; readonly seq: number }
  | {
      readonly type: typeof TYPE.heartbeat | typeof TYPE.heartbeatAck;
      readonly payload: Uint8Array<ArrayBuffer>;
      readonly sent: number;
      readonly ack: number;
    }
  | {
      readonly type: typeof TYPE.goAway;
      readonly reason: number;
      readonly delayMillis: number;
    }
  | { readonly type: typeof TYPE.close; readonly code: number; readonly reason: string }
  | { readonly type: typeof TYPE.reset; readonly reason: number; readonly status: number };

/** The peer violated PROTOCOL §4; its connection ends with 4400. */
export class WireError extends Error {}

/** Whether a message is ours, or has to be escaped before it is sent. A text never is: it has no bytes to index. */
export function isMagic<T extends Data>(message: T): message is Exclude<T, string> {
  return MAGIC.every((byte, i) => message[i] === byte);
}

/** Builds a message of ours. */
export function encode(type: number, ...body: number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(...MAGIC, type, ...body);
}

/** The four bytes of a number, big-endian; Uint8Array takes the lowest eight bits of each. */
export function u32(n: number): number[] {
  return [n >>> 24, n >>> 16, n >>> 8, n];
}

/** Stands for a message that was given up (PROTOCOL §4.9). Known by its identity: a message may have the same bytes. */
export const SKIPPED = encode(10);

/** Builds what travels for a data message that starts with the magic. */
export function escapeData(message: Uint8Array): Uint8Array<ArrayBuffer> {
  return behind(encode(TYPE.escaped), message);
}

/** Builds RESTORE (PROTOCOL §4.10). */
export function encodeRestore(data: Data): Uint8Array<ArrayBuffer> {
  const isText = typeof data === "string";
  return behind(encode(TYPE.restore, isText ? 1 : 2), isText ? encoder.encode(data) : data);
}

function behind(head: Uint8Array, message: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(head.length + message.length);
  whole.set(head);
  whole.set(message, head.length);
  return whole;
}

/** Builds ACK (PROTOCOL §4.3). */
export function encodeAck(seq: number): Uint8Array<ArrayBuffer> {
  return encode(TYPE.ack, ...u32(seq));
}

/** Builds HEARTBEAT or HEARTBEAT_ACK (PROTOCOL §4.4, §4.5). */
export function encodeBeat(
  type: number,
  payload: Uint8Array,
  sent: number,
  ack: number,
): Uint8Array<ArrayBuffer> {
  return encode(type, ...payload, ...u32(sent), ...u32(ack));
}

/** Builds CLOSE (PROTOCOL §4.7). A reason that is too long is cut at a character. */
export function encodeClose(code: number, reason: string): Uint8Array<ArrayBuffer> {
  const room = new Uint8Array(MAX_CLOSE_REASON);
  const { written } = encoder.encodeInto(reason, room);
  return encode(TYPE.close, code >>> 8, code, ...room.subarray(0, written));
}

/** Reads a message that starts with the magic. Throws a WireError for what PROTOCOL §4 forbids. */
export function decode(message: Uint8Array): Control {
  try {
    return read(message);
  } catch {
    throw new WireError();
  }
}

function read(message: Uint8Array): Control {
  const type = message[MAGIC.length];
  let at = PREFIX;
  const left = () => message.length - at;
  const bytes = (n: number) => message.slice(at, (at += n));
  const int = (n: number) => bytes(n).reduce((high, byte) => high * 256 + byte, 0);
  const text = (n: number) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes(n));
  // Whatever was read beyond the end makes `left` negative.
  const checked = (control: Control, valid = true) => {
    if (!valid || left() !== 0) {
      throw control;
    }
    return control;
  };
  if (type === TYPE.escaped) {
    const data = bytes(left());
    return checked({ type, data }, isMagic(data));
  }
  if (type === TYPE.welcome) {
    const w: Welcome = {
      type,
      status: int(1),
      reason: int(1),
      session: bytes(16).reduce((hex, byte) => hex + (byte + 256).toString(16).slice(1), ""),
      epoch: int(4),
      inboundAck: int(4),
      nextOutbound: int(4),
      heartbeatMillis: int(4),
      ttlMillis: int(4),
      window: int(4),
      maxMessage: int(4),
      retryFirstMillis: int(4),
      retryMostMillis: int(4),
      token: text(int(2)),
      subprotocol: text(int(1)),
    };
    return checked(
      w,
      w.status < 3 &&
        w.reason % BY_SIDECAR < 5 &&
        (w.status === 2) === w.reason > 0 &&
        w.reason !== BY_SIDECAR &&
        TOKEN.test(w.token),
    );
  }
  if (type === TYPE.ack) {
    return checked({ type, seq: int(4) });
  }
  if (type === TYPE.heartbeat || type === TYPE.heartbeatAck) {
    return checked({ type, payload: bytes(HEARTBEAT_PAYLOAD), sent: int(4), ack: int(4) });
  }
  if (type === TYPE.goAway) {
    return checked({ type, reason: int(1), delayMillis: int(4) });
  }
  if (type === TYPE.close) {
    const code = int(2);
    const valid = endsSession(code) && left() <= MAX_CLOSE_REASON;
    return checked({ type, code, reason: text(left()) }, valid);
  }
  const reason = int(1);
  const valid = type === TYPE.reset && reason > 0 && reason < 6;
  return checked({ type: TYPE.reset, reason, status: left() && int(2) }, valid);
}

/** Whether a session can end with a code: those of a close frame (RFC 6455 §7.4), and 1005 and 1006. */
function endsSession(code: number): boolean {
  return code >= 1000 && code < 5000 && (code < 1015 || code >= 3000) && code !== 1004;
}
