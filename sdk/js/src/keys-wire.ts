// What `wsr.keys` adds to the wire (PROTOCOL §2.1, §4.2, §4.12, §4.13).
import type { Fate } from "./options.ts";
import { encode, isMagic, TYPE } from "./wire.ts";

/** Entry of the offer. */
export const KEYS_ENTRY = "wsr.keys";

const KEY = 11;
const OUTCOME = 12;

/** Bytes of a key at most. */
const MAX_KEY = 64;

/** Where the type of a control message is, and its body. */
const TYPE_AT = 4;
const BODY_AT = 5;

/** Where the lengths of WELCOME's token and subprotocol begin: two bytes, then the token, then one. */
const TOKEN_AT = 59;

/** In WELCOME's options: the sidecar takes KEY on this connection. */
const TAKES_KEYS = 1;

/** By their numbers. */
const FATES: readonly Fate[] = ["first", "repeated", "underway", "again", "doubt", "unkeyed", "forbidden"];

/** What became of the message with a key. */
export interface Outcome {
  readonly fate: Fate;
  /** The key, as `nameOf` names it. */
  readonly name: string;
}

/** Returns a key that can be compared. */
export function nameOf(key: Uint8Array): string {
  return `${key}`;
}

/** Whether so many bytes are a key. */
export function isKey({ length }: Uint8Array): boolean {
  return length > 0 && length <= MAX_KEY;
}

/** Builds KEY. */
export function encodeKey(key: Uint8Array): Uint8Array<ArrayBuffer> {
  return encode(KEY, ...key);
}

/** Whether a message of the client is one of data: as it is, ESCAPED or SKIPPED. */
export function isData(message: string | Uint8Array<ArrayBuffer>): boolean {
  return !isMagic(message) || message[TYPE_AT] === TYPE.escaped;
}

/**
 * Reads whether a WELCOME allows KEY, and returns it as one without options; undefined: the message is none that has
 * options, and the machine judges it.
 */
export function readOptions(
  message: Uint8Array<ArrayBuffer>,
): { bare: Uint8Array<ArrayBuffer>; takesKeys: boolean } | undefined {
  const token = message[TOKEN_AT]! * 256 + message[TOKEN_AT + 1]!;
  const subprotocolAt = TOKEN_AT + 2 + token;
  const end = subprotocolAt + 1 + message[subprotocolAt]!;
  if (!isWelcome(message) || message.length !== end + 1) {
    return;
  }
  return { bare: message.slice(0, end), takesKeys: !!(message[end]! & TAKES_KEYS) };
}

/** Whether a message is WELCOME. */
export function isWelcome(message: Uint8Array<ArrayBuffer>): boolean {
  return isMagic(message) && message[TYPE_AT] === TYPE.welcome;
}

/** Reads OUTCOME; undefined: it is none, or malformed, and the machine judges it. */
export function readOutcome(message: Uint8Array<ArrayBuffer>): Outcome | undefined {
  const [fate, ...key] = message.subarray(BODY_AT);
  if (!isMagic(message) || message[TYPE_AT] !== OUTCOME || !isKey(Uint8Array.from(key))) {
    return;
  }
  // One that is not known yet is none of those in which the app is known to have got the message.
  return { fate: FATES[fate!] ?? "doubt", name: `${key}` };
}
