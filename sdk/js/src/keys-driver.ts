import type { Act, Driven, Driver, MakeDriver } from "./driver.ts";
import { type AdoptedEvent, makeEvent, type ResetEvent } from "./events.ts";
import type { Keep } from "./keeper.ts";
import { KeyedTransport } from "./keys-transport.ts";
import { Wait, Waits } from "./keys-wait.ts";
import { isKey, nameOf, type Outcome } from "./keys-wire.ts";
import type { AppMessage, Machine, Restore } from "./machine.ts";
import type { DeliverOptions, Settings } from "./options.ts";
import type { Receipt } from "./outbox.ts";
import { add } from "./serial.ts";
import { failure } from "./standard.ts";
import type { Data } from "./store.ts";
import { encoder, sizeOf } from "./utf8.ts";

/** How long what a lost owner has acknowledged may stay without an outcome that was in the journal, in ms. */
const MAX_OUTCOME_WAIT = 2000;

/** How long another session is looked for at least, in ms. */
const MAX_RENEWAL = 300_000;

/** What a sidecar, or the time, may say of a session that another one can take the place of. */
const RENEWABLE = ["unknown", "token", "lost", "expired"];

/** Drives a machine whose messages may have keys. */
export class KeyedDriver implements Driven {
  private readonly driver: Driver;
  private readonly waits = new Waits();
  private readonly renew: boolean;
  /** By what stands for them among the messages of the app. */
  private readonly outcomes = new WeakMap<object, Outcome>();
  /** What the last WELCOME said. */
  private areTaken = false;
  /** What the page would have heard of the session whose place another one is to take. */
  private lostBy: ResetEvent | null = null;
  /** How many messages in front may have been sent in a session before. */
  private again = 0;

  constructor(make: MakeDriver, settings: Settings, act: Act, renew: boolean) {
    const transport = settings.webSocket!;
    const keyed = {
      keyOfNext: (kept: boolean) => this.keyOfNext(kept),
      stands: (place: ArrayBuffer, outcome: Outcome) => void this.outcomes.set(place, outcome),
      renewing: () => !!this.lostBy,
      welcome: (takesKeys: boolean) => this.welcome(takesKeys),
      welcomed: () => this.welcomed(),
    };
    const webSocket = class extends KeyedTransport {
      constructor(url: string, protocols: string[] = []) {
        super(transport, keyed, url, protocols);
      }
    };
    const keep = settings.persist as Keep | undefined;
    const renews = () => this.renews(this.core.forPage.at(-1) as unknown as ResetEvent);
    const own = {
      ...settings,
      ...{ webSocket, persist: keep && this.withKeys(keep) },
      // The machine asks once the session is lost, and `reset` is its last word.
      get newSessionAfterReset() {
        return !!settings.newSessionAfterReset || renews();
      },
    };
    this.renew = renew;
    this.driver = make(own as Settings, (output) => {
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
    const key = checked((receipt as Partial<DeliverOptions>).key);
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

  /** Has messages kept with their keys, and go on with them. */
  private withKeys(keep: Keep): Keep {
    return (machine, perform) => {
      const keeper = keep(
        machine,
        perform,
        (key) => new Wait(key, this.waits, { resolve() {}, reject() {} }),
      );
      return {
        put: (position, data) => keeper.put(position, data, keyAt(machine, position)),
        save: (now) => keeper.save(now),
        clear: () => keeper.clear(),
        close: () => keeper.close(),
      };
    };
  }

  private keyOfNext(kept: boolean): Uint8Array | undefined {
    const receipt = this.core.out.taken?.receipt;
    if (receipt instanceof Wait) {
      receipt.withKey = kept;
      return encoder.encode(receipt.key);
    }
    return;
  }

  /** Handles a WELCOME before the machine does; false: it may not have it. */
  private welcome(takesKeys: boolean): boolean {
    const { core, lostBy } = this;
    this.areTaken = takesKeys;
    if (lostBy && takesKeys) {
      this.lostBy = null;
      if (core.opened && !core.settings.adopt) {
        const fields = { reason: "renewed", away: now() - core.lostAt };
        core.forPage.push(makeEvent("adopted", fields));
      }
    }
    return takesKeys || !lostBy;
  }

  /** Handles that the machine has read a WELCOME. */
  private welcomed(): void {
    const { out } = this.core;
    if (this.again) {
      out.inherited = add(out.ackedTo, this.again);
      this.again = 0;
    }
    if (!this.areTaken) {
      this.waits.giveUp(this.waits.acked);
    }
  }

  /** Handles what the page is not to hear; false: it is. */
  private takes(output: Event | AppMessage): boolean {
    const { waits } = this;
    if (output instanceof Event) {
      const { over } = waits;
      if (output.type === "reset" || output.type === "close") {
        const isReset = output.type === "reset";
        const reset = output as unknown as ResetEvent;
        const renews = isReset && this.renews(reset);
        waits.over = [];
        if (renews) {
          this.lookForAnother(reset, over);
          return true;
        }
        if (isReset && this.lostBy && reset.reason !== "unauthorised") {
          Object.assign(output, { reason: this.lostBy.reason }); // it was over then
        }
        this.lostBy = null;
        this.again = 0;
        waits.giveUp();
      } else if (output.type === "adopted" && (output as unknown as AdoptedEvent).reason === "owner_lost") {
        const owed = waits.acked;
        if (owed.length) {
          setTimeout(() => waits.giveUp(owed), MAX_OUTCOME_WAIT);
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
    for (const wait of this.waits.all) {
      if (nameOf(encoder.encode(wait.key)) === name) {
        wait.tell(fate);
        return;
      }
    }
  }

  // After the loss of a session.

  /** Whether another session takes the place of one that is lost: all that it leaves has keys. */
  private renews({ reason, unacknowledged }: ResetEvent): boolean {
    return (
      this.renew &&
      !this.lostBy &&
      RENEWABLE.includes(reason) &&
      this.waits.over.length === unacknowledged.length
    );
  }

  /** Puts what is left in front of what the page may have sent meanwhile, for the session that begins. */
  private lookForAnother(reset: ResetEvent, left: readonly Wait[]): void {
    const { waits, driver } = this;
    const { out, ttl } = this.core;
    this.lostBy = reset;
    this.core.expiresAt = now() + Math.max(ttl, MAX_RENEWAL);
    waits.giveUp(waits.acked); // nothing of them is here any more
    out.last = out.ackedTo;
    for (const [i, { data }] of reset.unacknowledged.entries()) {
      driver.send(data as Data | Blob, sizeOf(data as Data | Blob), left[i]);
    }
    out.inherited = out.last;
    out.last = null;
    this.again = left.length;
    this.perform();
  }

  /** Has the driver perform what is pending. */
  private perform(): void {
    this.driver.restored({} as Restore, false); // which is not begun
  }
}

/** As the driver's clock. */
const now = () => performance.timeOrigin + performance.now();

/** The key of the message at a position of the outbox. */
function keyAt({ out }: Machine, position: number): string | undefined {
  const receipt = out.entryAt.get(position)?.receipt;
  return receipt instanceof Wait ? receipt.key : undefined;
}

/** Returns the key that `deliver` was given. */
function checked(given: unknown): string {
  const key = encoder.encode(typeof given === "string" ? given : "");
  // Halves of characters would all be the same one.
  if (!isKey(key) || new TextDecoder("utf-8", { ignoreBOM: true }).decode(key) !== given) {
    throw new TypeError(
      `wsresilience: key of ${key.length} bytes: it must be text of 1 to 64 bytes in UTF-8`,
    );
  }
  return given;
}
