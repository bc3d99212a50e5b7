// What `wsr.share` adds to the wire (PROTOCOL §2.1, §4.14).
import type { SyncMode } from "./events.ts";
import { isMagic } from "./wire.ts";

/** Entry of the offer. */
export const SHARE_ENTRY = "wsr.share";

const SHARED = 13;

/** Where the type of a control message is, what SHARED tells, and the rest of its body. */
const TYPE_AT = 4;
const WHAT_AT = 5;
const BODY_AT = 6;

const MODES: readonly SyncMode[] = ["log", "full", "partial"];

/** What SHARED tells; one of a later version tells nothing. */
export type Shared =
  | { readonly what: "members"; readonly self: number; readonly readOnly: boolean; readonly all: number[] }
  | {
      readonly what: "synchronised";
      readonly mode: SyncMode;
      readonly messages: number;
      readonly version: number;
    }
  | {
      readonly what: "conflict";
      readonly seq: number;
      readonly key: string;
      readonly present: string | ArrayBuffer | undefined;
    }
  | { readonly what: "nothing" };

/** Reads SHARED; undefined: it is none, or malformed, and the machine judges it. */
export function readShared(message: Uint8Array<ArrayBuffer>): Shared | undefined {
  if (!isMagic(message) || message[TYPE_AT] !== SHARED || message.length < BODY_AT) {
    return;
  }
  const view = new DataView(message.buffer, message.byteOffset + BODY_AT);
  switch (message[WHAT_AT]) {
    case 1:
      return readMembers(view);
    case 2: {
      const mode = view.byteLength === 9 && MODES[view.getUint8(0)];
      return mode
        ? { what: "synchronised", mode, messages: view.getUint32(1), version: view.getUint32(5) }
        : undefined;
    }
    case 3:
      return readConflict(view);
    default:
      return { what: "nothing" };
  }
}

function readMembers(view: DataView): Shared | undefined {
  const size = view.byteLength;
  if (size < 3 || size % 2 !== 1) {
    return;
  }
  const all: number[] = [];
  for (let at = 3; at < size; at += 2) {
    const member = view.getUint16(at);
    if (member <= (all.at(-1) ?? -1)) {
      return;
    }
    all.push(member);
  }
  return { what: "members", self: view.getUint16(1), readOnly: !!(view.getUint8(0) & 1), all };
}

function readConflict(view: DataView): Shared | undefined {
  const size = view.byteLength;
  const end = size < 6 ? Number.NaN : 6 + view.getUint8(5);
  const opcode = size < 6 ? 0 : view.getUint8(4);
  if (!(end <= size) || opcode > 2 || (!opcode && end < size)) {
    return;
  }
  const bytes = (from: number, to: number) =>
    new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset + from, to - from).slice();
  const text = (from: number, to: number) => new TextDecoder().decode(bytes(from, to));
  const present = [undefined, text(end, size), bytes(end, size).buffer][opcode];
  return { what: "conflict", seq: view.getUint32(0), key: text(6, end), present };
}
