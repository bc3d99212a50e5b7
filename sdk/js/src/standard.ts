// What the WHATWG standard of WebSocket (https://websockets.spec.whatwg.org/) and WebIDL demand of the class,
// apart from its state. URLs and subprotocols are judged by the transport.
import type { Data } from "./store.ts";
import { byteLength } from "./utf8.ts";
import { CODE, MAX_CLOSE_REASON } from "./wire.ts";

/** Checks the arguments of `close`, and returns the code; 1005 is none. */
export function closeCode(code: number | undefined, reason: string): number {
  if (code === undefined) {
    code = CODE.noStatus;
  } else {
    code = Math.round(code);
    if (code !== CODE.normal && !(code >= 3000 && code <= 4999)) {
      throw failure("InvalidAccessError", `code ${code}`);
    }
  }
  if (byteLength(reason) > MAX_CLOSE_REASON) {
    throw failure("SyntaxError", "reason too long");
  }
  return code;
}

/** Converts the argument of `send`. Bytes are copied, since the page may change its own at once. */
export function toData(given: unknown): Data | Blob {
  if (given instanceof Blob) {
    return given;
  }
  const isView = ArrayBuffer.isView(given);
  const buffer = isView ? given.buffer : given;
  // By name: the buffer may be one of another frame.
  const name = Object.prototype.toString.call(buffer).slice(8, -1);
  if (name === "SharedArrayBuffer") {
    throw invalid();
  }
  if (name !== "ArrayBuffer") {
    return `${given}`;
  }
  const { byteOffset = 0, byteLength } = given as DataView<ArrayBuffer>;
  // A detached buffer has no bytes, and must not be looked at.
  return byteLength
    ? new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).slice()
    : new Uint8Array();
}

/** Gives a class the shape that WebIDL gives an interface: what is enumerable, and what is constant. */
export function defineShape(type: { readonly prototype: object }): void {
  const { prototype } = type;
  const { constructor: _, ...members } = Object.getOwnPropertyDescriptors(prototype);
  for (const key in members) {
    Object.defineProperty(prototype, key, { enumerable: true });
  }
  ["CONNECTING", "OPEN", "CLOSING", "CLOSED"].forEach((name, value) => {
    for (const owner of [type, prototype]) {
      Object.defineProperty(owner, name, { value, enumerable: true });
    }
  });
  Object.defineProperty(prototype, Symbol.toStringTag, { value: "WebSocket", configurable: true });
}

export function invalid(): TypeError {
  return new TypeError("wsresilience: argument");
}

export function failure(name: string, message: string): DOMException {
  return new DOMException(`wsresilience: ${message}`, name);
}
