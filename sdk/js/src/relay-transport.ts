import type { Transport, WebSocketConstructor } from "./options.ts";
import type { Data } from "./store.ts";
import { SUBPROTOCOL } from "./wire.ts";

/** What a socket brought: text, or bytes. */
export type Brought = string | ArrayBuffer;

/** One socket between the machine and the network, with an entry of its own in each offer of ours. */
export abstract class RelayTransport implements Transport {
  protected readonly inner: Transport;
  private listener: ((event: { readonly data: Brought }) => void) | null = null;

  constructor(make: WebSocketConstructor, entry: string, url: string, protocols: string[]) {
    const isOurs = protocols.includes(SUBPROTOCOL);
    this.inner = new make(url, isOurs ? [...protocols, entry] : protocols);
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
    this.listener = listener as typeof this.listener;
    this.inner.onmessage = listener && (({ data }: { readonly data: Brought }) => this.heard(data));
  }

  send(data: Data): void {
    this.inner.send(data);
  }

  close(code?: number, reason?: string): void {
    this.inner.close(code, reason);
  }

  /** Gives the machine a message. */
  protected bring(data: Brought): void {
    this.listener?.({ data });
  }

  /** Handles what the network brought. */
  protected abstract heard(data: Brought): void;

  /** Returns what may be a message of ours; empty: it is none. */
  protected ours(data: Brought): Uint8Array<ArrayBuffer> {
    return typeof data === "string" || this.protocol !== SUBPROTOCOL
      ? new Uint8Array()
      : new Uint8Array(data);
  }
}
