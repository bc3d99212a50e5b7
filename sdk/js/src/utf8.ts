import type { Data } from "./store.ts";

export const encoder = new TextEncoder();

/** Bytes of a string in UTF-8. A lone surrogate is sent as U+FFFD (WebIDL's USVString), which has 3. */
export function byteLength(s: string): number {
  return encoder.encode(s).length;
}

/** The size of a message in bytes. */
export function sizeOf(data: Data | Blob): number {
  return (data as Blob).size ?? (data as Uint8Array).byteLength ?? byteLength(data as string);
}
