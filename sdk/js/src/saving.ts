// Part of `wsresilience/persist`, which shares the core's machine: build.mjs gives both the same short names.
import { NEVER } from "./inbox.ts";
import type { Keep, Keeper, ToReceipt } from "./keeper.ts";
import { emit, type Machine } from "./machine.ts";
import { type Data, type Restored, type Saved, type Store, UNSAVED_DIALS } from "./store.ts";
import { sizeOf } from "./utf8.ts";
import { SKIPPED } from "./wire.ts";

/** Returns what keeps sessions in stores that `open` opens. */
export function keep(open: () => Store | Promise<Store>): Keep {
  return (machine, perform, toReceipt) => new StoreKeeper(machine, perform, open, toReceipt);
}

/** Keeps one session in a store. */
class StoreKeeper implements Keeper {
  readonly #machine: Machine;
  readonly #perform: Parameters<Keep>[1];
  readonly #toReceipt: ToReceipt | undefined;
  #store: Store | null = null;
  /** The store is not used any more, or never will be. */
  #over = false;
  /** A disk that does not answer is not waited for. */
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(
    machine: Machine,
    perform: Parameters<Keep>[1],
    open: () => Store | Promise<Store>,
    toReceipt?: ToReceipt,
  ) {
    this.#machine = machine;
    this.#perform = perform;
    this.#toReceipt = toReceipt;
    machine.blocked = true;
    const { connectTimeout } = machine.settings;
    this.#timer = setTimeout(
      () => this.#fail(new Error(`wsresilience: persist: no answer in ${connectTimeout} ms`)),
      connectTimeout,
    );
    Promise.resolve()
      .then(open)
      .then(
        (store) => {
          if (this.#over) {
            void store.close(); // what is saved stays for the next page
          } else {
            perform((m, now) => this.#opened(m, now, store));
          }
        },
        (error) => this.#fail(error),
      );
  }

  put(position: number, data: Data, key?: string): void {
    if (!this.#machine.plain) {
      this.#store?.put(key === undefined ? { position, data } : { position, data, key });
    }
  }

  save(now: number): void {
    const { out } = this.#machine;
    if (out.skippedPos !== undefined) {
      this.#store?.put({ position: out.skippedPos, data: null });
      out.skippedPos = undefined;
    }
    const saved = snapshot(this.#machine, now, Date.now());
    this.#store?.save(saved).then(
      () => this.#perform((m) => snapshotSaved(m, saved)),
      (error) => this.#fail(error),
    );
  }

  clear(): void {
    this.#store?.clear();
  }

  close(): void {
    const store = this.#store;
    this.#end();
    void store?.close();
  }

  #opened(m: Machine, now: number, store: Store): void {
    clearTimeout(this.#timer);
    this.#store = store;
    m.durable = true;
    m.blocked = false;
    if (store.restored) {
      restore(m, now, Date.now(), store.restored, sizeOf, this.#toReceipt);
    }
  }

  /** The disk fails: the session goes on without it, after `error`. */
  #fail(error: unknown): void {
    if (!this.#over) {
      this.#end();
      this.#machine.settings.logger.warn(error);
      this.#perform((m) => {
        m.durable = m.blocked = m.saveDue = false;
        emit(m, "error");
      });
    }
  }

  #end(): void {
    this.#over = true;
    this.#store = null;
    clearTimeout(this.#timer);
  }
}

/** Continues with what the page before a reload has saved. `wall` is the wall clock. */
export function restore(
  m: Machine,
  now: number,
  wall: number,
  left: Restored,
  size: (d: Data) => number,
  toReceipt?: ToReceipt,
): void {
  const { saved, messages } = left;
  m.resumeToken = saved.token;
  m.ownerEpoch = saved.epoch;
  m.in.start(saved.received);
  m.savedReceived = saved.received;
  m.out.rebase(saved.acked, NEVER);
  m.out.wireShift = saved.shift;
  m.handshakes = saved.dials + UNSAVED_DIALS;
  for (const { data, key } of messages) {
    m.out.push(data, size(data ?? SKIPPED), key === undefined ? undefined : toReceipt?.(key));
  }
  m.out.inherited = m.out.lastPos;
  m.lostAt = now;
  m.expiresAt = now + Math.max(0, saved.expires - wall);
}

/** Returns what the page needs after a reload. */
export function snapshot(m: Machine, now: number, wall: number): Saved {
  m.saveDue = false;
  return {
    token: m.resumeToken,
    epoch: m.ownerEpoch,
    received: m.in.lastIn,
    acked: m.out.ackedTo,
    shift: m.out.wireShift,
    dials: m.handshakes,
    protocol: m.appProtocol,
    expires: wall + (m.current ? m.ttl : m.expiresAt - now),
  };
}

/** Notes that a snapshot is on disk: its positions may be told to the sidecar. */
export function snapshotSaved(m: Machine, saved: Saved): void {
  const isNew = m.savedReceived !== saved.received;
  m.savedReceived = saved.received;
  if (saved.token === m.resumeToken) {
    m.blocked = false;
    if (m.current && isNew) {
      m.current.ackDue = true;
    }
  }
}
