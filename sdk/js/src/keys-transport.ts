import {
  encodeKey,
  isData,
  isWelcome,
  KEYS_ENTRY,
  type Outcome,
  readOptions,
  readOutcome,
} from "./keys-wire.ts";
import type { Transport, WebSocketConstructor } from "./options.ts";
import type { Data } from "./store.ts";
import { SUBPROTOCOL } from "./wire.ts";

/** What transports with keys work for. */
export interface Keyed {
  /** Returns the key of the data message that the machine sends now, if it has one; `kept`: it travels with it. */
  keyOfNext(kept: boolean): Uint8Array | undefined;
  /** Notes what stands for an OUTCOME among the messages of the app. */
  stands(place: ArrayBuffer, outcome: Outcome): void;
  /** The machine has read a WELCOME. */
  welcomed(takesKeys: boolean): void;
}

type Message = (event: { readonly data: string | ArrayBuffer }) => void;

/**
 * One socket, and what `wsr.keys` adds to it: the machine knows of no keys. It counts OUTCOME as a message of the app,
 * since what stands for one is given to it in its place.
 */
export class KeyedTransport implements Transport {
  private readonly inner: Transport;
  private readonly keyed: Keyed;
  private listener: Message | null = null;
  private hasWelcome = false;
  private takesKeys = false;

  constructor(make: WebSocketConstructor, keyed: Keyed, url: string, protocols: string[]) {
    const isOurs = protocols.includes(SUBPROTOCOL);
    this.inner = new make(url, isOurs ? [...protocols, KEYS_ENTRY] : protocols);
    this.keyed = keyed;
  }

  get url(): string {
    return this.inner.url;
  }

  get protocol(): string {
    return this.inner.protocol;
  }

  get extensions(): string {
    return this.inner.extensions;
  }

  get readyState(): number {
    return this.inner.readyState;
  }

  get bufferedAmount(): number {
    return this.inner.bufferedAmount;
  }

  get binaryType(): string {
    return this.inner.binaryType;
  }

  set binaryType(type: string) {
    this.inner.binaryType = type;
  }

  get onopen(): Transport["onopen"] {
    return this.inner.onopen;
  }

  set onopen(listener: Transport["onopen"]) {
    this.inner.onopen = listener;
  }

  get onerror(): Transport["onerror"] {
    return this.inner.onerror;
  }

  set onerror(listener: Transport["onerror"]) {
    this.inner.onerror = listener;
  }

  get onclose(): Transport["onclose"] {
    return this.inner.onclose;
  }

  set onclose(listener: Transport["onclose"]) {
    this.inner.onclose = listener;
  }

  get onmessage(): Transport["onmessage"] {
    return this.listener;
  }

  set onmessage(listener: Transport["onmessage"]) {
    this.listener = listener as Message | null;
    const heard: Message = ({ data }) => this.heard(data);
    this.inner.onmessage = listener && heard;
  }

  send(data: Data): void {
    const key = isData(data) ? this.keyed.keyOfNext(this.takesKeys) : undefined;
    if (key && this.takesKeys) {
      this.inner.send(encodeKey(key));
    }
    this.inner.send(data);
  }

  close(code?: number, reason?: string): void {
    this.inner.close(code, reason);
  }

  private heard(data: string | ArrayBuffer): void {
    const isText = typeof data === "string" || this.protocol !== SUBPROTOCOL; // or nothing of ours
    const message = isText ? new Uint8Array() : new Uint8Array(data);
    const outcome = this.hasWelcome ? readOutcome(message) : undefined;
    if (isWelcome(message)) {
      const options = readOptions(message);
      this.hasWelcome = true;
      this.takesKeys = !!options?.takesKeys;
      this.listener?.({ data: options ? options.bare.buffer : data });
      this.keyed.welcomed(this.takesKeys);
    } else if (outcome) {
      const place = new ArrayBuffer(message.length);
      this.keyed.stands(place, outcome);
      this.listener?.({ data: place });
    } else {
      this.listener?.({ data });
    }
  }
}
