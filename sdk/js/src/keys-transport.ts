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
import { type Brought, RelayTransport } from "./relay-transport.ts";
import type { Data } from "./store.ts";
import { encode, isMagic, SUBPROTOCOL, TYPE } from "./wire.ts";

/** In RESET: the session is unknown (PROTOCOL §4.8). */
const UNKNOWN = 1;

/** What transports with keys work for. */
export interface Keyed {
  /** Returns the key of the data message that the machine sends now, if it has one; `kept`: it travels with it. */
  keyOfNext(kept: boolean): Uint8Array | undefined;
  /** Notes what stands for an OUTCOME among the messages of the app. */
  stands(place: ArrayBuffer, outcome: Outcome): void;
  /** Whether a session is looked for that has to be one with keys. */
  renewing(): boolean;
  /** The machine is about to read a WELCOME; false: it is to read that the session is lost. */
  welcome(takesKeys: boolean): boolean;
  /** It has read it. */
  welcomed(): void;
}

/**
 * One socket, and what `wsr.keys` adds to it: the machine knows of no keys. It counts OUTCOME as a message of the app,
 * since what stands for one is given to it in its place.
 */
export class KeyedTransport extends RelayTransport {
  private readonly keyed: Keyed;
  private hasWelcome = false;
  private takesKeys = false;

  constructor(make: WebSocketConstructor, keyed: Keyed, url: string, protocols: string[]) {
    super(make, KEYS_ENTRY, url, protocols);
    this.keyed = keyed;
  }

  override get onopen(): Transport["onopen"] {
    return this.inner.onopen;
  }

  override set onopen(listener: Transport["onopen"]) {
    const opened = () => {
      if (this.protocol !== SUBPROTOCOL && this.keyed.renewing()) {
        this.fail();
      } else {
        listener?.(undefined as never);
      }
    };
    this.inner.onopen = listener && opened;
  }

  override send(data: Data): void {
    const key = isData(data) ? this.keyed.keyOfNext(this.takesKeys) : undefined;
    if (key && this.takesKeys) {
      this.inner.send(encodeKey(key));
    }
    this.inner.send(data);
  }

  /** Ends a connection to a server that has no sidecar, as one that failed. */
  private fail(): void {
    const { onclose } = this.inner;
    this.inner.onclose = null;
    this.inner.close();
    onclose?.({ code: 1006, reason: "no sidecar", wasClean: false } as never);
  }

  protected override heard(data: Brought): void {
    const message = this.ours(data);
    const outcome = this.hasWelcome ? readOutcome(message) : undefined;
    if (isWelcome(message)) {
      const options = readOptions(message);
      this.hasWelcome = true;
      this.takesKeys = !!options?.takesKeys;
      const bare = this.keyed.welcome(this.takesKeys)
        ? (options?.bare ?? message)
        : encode(TYPE.reset, UNKNOWN);
      this.bring(bare.buffer);
      this.keyed.welcomed();
    } else if (!this.hasWelcome && !isMagic(message) && this.keyed.renewing()) {
      this.fail();
    } else if (outcome) {
      const place = new ArrayBuffer(message.length);
      this.keyed.stands(place, outcome);
      this.bring(place);
    } else {
      this.bring(data);
    }
  }
}
