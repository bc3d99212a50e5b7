import type { Act, Driven, Driver, MakeDriver } from "./driver.ts";
import type { AdoptedEvent } from "./events.ts";
import { KeyedTransport } from "./keys-transport.ts";
import { isKey, nameOf, type Outcome } from "./keys-wire.ts";
import type { AppMessage, Restore } from "./machine.ts";
import type { DeliverOptions, Fate, Settings } from "./options.ts";
import type { Receipt } from "./outbox.ts";
import { failure } from "./standard.ts";
import type { Data } from "./store.ts";
import { encoder } from "./utf8.ts";

/** How long what a lost owner has acknowledged may stay without an outcome that was in the journal, in ms. */
const MAX_OUTCOME_WAIT = 2000;

/** A `deliver` with a key. */
class Wait implements Receipt {
  readonly key: Uint8Array;
  readonly waits: Set<Wait>;
  /** It travelled with its key the last time. */
  withKey = false;
  /** The app's sidecar has it. */
  isAcked = false;
  private readonly promise: { resolve(fate: Fate): void; reject(reason: Error): void };

  constructor(key: Uint8Array, waits: Set<Wait>, promise: Wait["promise"]) {
    this.key = key;
    this.waits = waits;
    this.promise = promise;
    waits.add(this);
  }

  /** Handles that the message was acknowledged. */
  resolve(): void {
    this.isAcked = true;
    if (!this.withKey) {
      this.reject(failure("NotSupportedError", "delivered without its key: keys are not taken"));
    }
  }

  reject(reason: Error): void {
    this.waits.delete(this);
    this.promise.reject(reason);
  }

  tell(fate: Fate): void {
    this.waits.delete(this);
    this.promise.resolve(fate);
  }
}

/** Drives a machine whose messages may have keys. */
export class KeyedDriver implements Driven {
  private readonly driver: Driver;
  /** In the order in which they were delivered. */
  private readonly waits = new Set<Wait>();
  /** By what stands for them among the messages of the app. */
  private readonly outcomes = new WeakMap<object, Outcome>();
  /** What the last WELCOME said. */
  private areTaken = false;

  constructor(make: MakeDriver, settings: Settings, act: Act) {
    const transport = settings.webSocket!;
    const keyed = {
      keyOfNext: (kept: boolean) => this.keyOfNext(kept),
      stands: (place: ArrayBuffer, outcome: Outcome) => void this.outcomes.set(place, outcome),
      welcomed: (takesKeys: boolean) => this.welcomed(takesKeys),
    };
    const webSocket = class extends KeyedTransport {
      constructor(url: string, protocols: string[] = []) {
        super(transport, keyed, url, protocols);
      }
    };
    this.driver = make({ ...settings, webSocket }, (output) => {
      if (!this.takes(output)) {
        act(output);
      }
    });
  }

  get core(): Driver["core"] {
    return this.driver.core;
  }

  get serverUrl(): string {
    return this.driver.serverUrl;
  }

  get agreed(): string {
    return this.driver.agreed;
  }

  get unsent(): number {
    return this.driver.unsent;
  }

  send(data: Data | Blob, size: number, receipt?: Receipt, restore?: Restore): void {
    const { restoring: begun } = this.core;
    if (!receipt || !("key" in receipt)) {
      this.driver.send(data, size, receipt, restore);
      return;
    }
    const key = toKey((receipt as Partial<DeliverOptions>).key);
    if (this.core.plain || !this.areTaken) {
      throw failure("NotSupportedError", "keys are not taken");
    }
    // What restores the app's context has no key, so that this is no part of it, and goes behind it.
    const all = begun?.takesAll;
    if (begun) {
      begun.takesAll = false;
    }
    this.driver.send(data, size, new Wait(key, this.waits, receipt));
    if (begun) {
      begun.takesAll = !!all;
    }
  }

  close(code: number, reason: string): void {
    this.driver.close(code, reason);
  }

  restored(restore: Restore, failed: boolean): void {
    this.driver.restored(restore, failed);
  }

  private keyOfNext(kept: boolean): Uint8Array | undefined {
    const receipt = this.core.out.taken?.receipt;
    if (!(receipt instanceof Wait)) {
      return;
    }
    receipt.withKey = kept;
    return receipt.key;
  }

  private welcomed(takesKeys: boolean): void {
    this.areTaken = takesKeys;
    if (!takesKeys) {
      this.giveUp([...this.waits].filter(({ isAcked }) => isAcked));
    }
  }

  /** Handles what the page is not to hear; false: it is. */
  private takes(output: Event | AppMessage): boolean {
    if (output instanceof Event) {
      if (output.type === "reset" || output.type === "close") {
        this.giveUp(this.waits);
      } else if (output.type === "adopted" && (output as unknown as AdoptedEvent).reason === "owner_lost") {
        const owed = [...this.waits].filter(({ isAcked }) => isAcked);
        if (owed.length) {
          setTimeout(() => this.giveUp(owed), MAX_OUTCOME_WAIT);
        }
      }
      return false;
    }
    const outcome = this.outcomes.get((output.data as Exclude<Data, string>).buffer ?? this);
    if (outcome) {
      this.settle(outcome);
    }
    return !!outcome;
  }

  /** Tells the first that waits for a key what became of its message; maybe nobody does. */
  private settle({ name, fate }: Outcome): void {
    for (const wait of this.waits) {
      if (nameOf(wait.key) === name) {
        wait.tell(fate);
        return;
      }
    }
  }

  private giveUp(waits: Iterable<Wait>): void {
    for (const wait of waits) {
      wait.reject(failure("AbortError", "it is not known what became of it"));
    }
  }
}

/** Converts the key that `deliver` was given. */
function toKey(given: unknown): Uint8Array {
  const key = encoder.encode(typeof given === "string" ? given : "");
  // Halves of characters would all be the same one.
  if (!isKey(key) || new TextDecoder("utf-8", { ignoreBOM: true }).decode(key) !== given) {
    throw new TypeError(
      `wsresilience: key of ${key.length} bytes: it must be text of 1 to 64 bytes in UTF-8`,
    );
  }
  return key;
}
