import {
  connect,
  failure,
  list,
  type Place,
  type Row,
  rowsOf,
  type Tables,
  transact,
} from "./persist-database.ts";
import { type Claim, PlaceStore } from "./persist-place.ts";
import { add } from "./serial.ts";
import { type Restored, type Saved, type SavedMessage, type Store, UNSAVED_DIALS } from "./store.ts";

/** How many places of one name are looked at: more tabs than anybody has, and a limit to what `open` costs. */
const MAX_PLACES = 64;

/**
 * How long a place with messages is kept after its session has expired, in ms. Whoever comes back within a
 * week gets what was never acknowledged; after that the disk is freed.
 */
const KEEP_UNACKED = 7 * 24 * 3_600_000;

/** Where there are no locks: how often an owner says that it is alive, in ms. */
const TOUCH_INTERVAL = 15_000;

/**
 * And after which silence, in ms, it counts as dead. Timers of hidden pages may come once a minute. The owner
 * may be frozen nevertheless; it finds out with its next write, and of two connections the sidecar keeps one.
 */
const OWNER_TIMEOUT = 150_000;

const NO_DATABASE =
  "IndexedDB cannot be opened (data of this site blocked, a sandboxed frame, or not a browser): leave the " +
  "option persist out, or use customStore";

/**
 * Opens a place under a name: one that a page before this one has saved, the newest first, or else a new one.
 * Never one that another tab has.
 *
 * The lock `wsr:<name>:<id>` says whose a place is: it ends with the tab, also
 * with one that crashes, and a page in the back-forward cache keeps it. Nothing is in sessionStorage, which is
 * copied when a tab is.
 */
export async function open(name: string): Promise<Store> {
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  let db: IDBDatabase;
  try {
    db = await connect(locks ? "wsresilience" : "wsresilience-unlocked");
  } catch (error) {
    throw failure(NO_DATABASE, error);
  }
  try {
    const places = await list(db, name);
    places.sort((a, b) => b.touched - a.touched);
    const fresh = { name, id: random(), owner: "", touched: 0, saved: null };
    for (const place of [...places.slice(0, MAX_PLACES), fresh]) {
      const claim = await take(db, locks, place, place === fresh);
      if (claim) {
        return locks ? new PlaceStore(claim) : keepAlive(claim);
      }
    }
    throw new Error("the lock of a new place is held"); // another program uses our locks' names
  } catch (error) {
    db.close();
    throw failure("no place in IndexedDB", error);
  }
}

/** Claims a place, unless it is another tab's, or nothing in it is of use. */
async function take(
  db: IDBDatabase,
  locks: LockManager | undefined,
  place: Place,
  isNew: boolean,
): Promise<Claim | null> {
  const release = locks ? await hold(locks, `wsr:${place.name}:${place.id}`) : () => {};
  if (!release) {
    return null;
  }
  const result: { claim?: Claim } = {};
  const claim = (tables: Tables, found: Place, rows: Row[]) => {
    const now = Date.now();
    const restored = found.saved && restore(found.saved, rows);
    const kept = restored?.messages ?? [];
    tables.messages.delete(rowsOf(found.owner));
    if (kept.length < rows.length) {
      tables.messages.delete(rowsOf(place.id));
      for (const message of kept) {
        tables.messages.put({ place: place.id, ...message });
      }
    }
    if (isNew || (restored && now < restored.saved.expires + (kept.length > 0 ? KEEP_UNACKED : 0))) {
      // The next page counts on from here even if this one, which starts as much above, gets nothing to the disk.
      const saved = restored && { ...restored.saved, dials: restored.saved.dials + UNSAVED_DIALS };
      const ours = { ...found, saved, owner: random(), touched: now };
      tables.places.put(ours);
      result.claim = { db, place: ours, restored, unlocked: !locks, release };
    } else {
      tables.places.delete([place.name, place.id]);
      tables.messages.delete(rowsOf(place.id));
    }
    tables.commit();
  };
  try {
    await transact(db, (tables) =>
      // Since the places were listed, another tab may have had this one, and changed or deleted it.
      tables.find(place, (found = isNew ? place : undefined) => {
        if (found) {
          tables.read(found.owner, (left) => {
            if (locks || left.length > 0 || isDead(found)) {
              tables.read(found.id, (rows) => claim(tables, found, rows));
            }
          });
        }
      }),
    );
  } finally {
    if (!result.claim) {
      release();
    }
  }
  return result.claim ?? null;
}

/** Holds a lock until the function that it returns is called, or the tab ends; null: another tab holds it. */
function hold(locks: LockManager, name: string): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null) =>
      lock ? new Promise<void>((release) => resolve(release)) : resolve(null);
    locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}

/** Whether the owner of a place has not been heard of for too long. The clock may have been set back. */
function isDead({ owner, touched }: Place): boolean {
  return !owner || Math.abs(Date.now() - touched) > OWNER_TIMEOUT;
}

/**
 * Puts together what the page before a reload has saved. The messages follow `acked` without a hole: the app must not get
 * what comes after one that is missing.
 */
function restore(saved: Saved, rows: readonly Row[]): Restored {
  const found = new Map(rows.map(({ place: _, ...message }) => [message.position, message]));
  const messages: SavedMessage[] = [];
  for (
    let message: SavedMessage | undefined;
    (message = found.get(add(saved.acked, messages.length + 1)));
  ) {
    messages.push(message);
  }
  return { saved, messages };
}

/** Says for a page without locks that it is alive, and when it goes away. */
function keepAlive(claim: Claim): PlaceStore {
  const timer = setInterval(() => store.touch(), TOUCH_INTERVAL);
  const leave = ({ persisted }: { persisted: boolean }) => persisted || store.leave();
  globalThis.addEventListener?.("pagehide", leave);
  const store = new PlaceStore({
    ...claim,
    release() {
      clearInterval(timer);
      globalThis.removeEventListener?.("pagehide", leave);
    },
  });
  return store;
}

const random = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
