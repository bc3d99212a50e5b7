import type { Saved, SavedMessage } from "./store.ts";

/**
 * The layout, version 1: `places` by [name, id], `messages` by [id, position].
 *
 * Browsers without Web Locks, and pages that are not secure contexts, tell who has a place by what stands in it.
 * The two ways know nothing of each other, so each has a database.
 */
const VERSION = 1;
const PLACES = "places";
const MESSAGES = "messages";

/** A place, besides its messages. */
export interface Place {
  readonly name: string;
  readonly id: string;
  /** Which tab has it, where there are no Web Locks; "" is none. */
  readonly owner: string;
  /** Wall clock, ms: the owner was alive. */
  readonly touched: number;
  /** Null before WELCOME, and after the end of a session. */
  readonly saved: Saved | null;
}

/** A message on disk. */
export interface Row extends SavedMessage {
  readonly place: string;
}

/** One transaction. */
export interface Tables {
  readonly places: IDBObjectStore;
  readonly messages: IDBObjectStore;
  /** Looks a place up. */
  find(place: Place, found: (place: Place | undefined) => void): void;
  /** Reads the messages of a place, by its id. */
  read(id: string, found: (rows: Row[]) => void): void;
  /** Says that this is all: the browser then need not hear from us again, should this tab crash. */
  commit(): void;
}

/** An error that a person can act upon. */
export function failure(what: string, cause?: unknown): Error {
  return new Error(`wsresilience: persist: ${what}${cause ? `: ${cause}` : ""}`, { cause });
}

/** Opens the database, and makes it if there is none. */
export function connect(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(PLACES, { keyPath: ["name", "id"] });
      request.result.createObjectStore(MESSAGES, { keyPath: ["place", "position"] });
    };
    request.onsuccess = () => {
      const db = request.result;
      // Whoever deletes or upgrades the database waits for us to let it go. Later writes fail.
      db.onversionchange = () => db.close();
      resolve(db);
    };
    request.onerror = () => reject(request.error);
  });
}

/**
 * Runs one transaction, which `work` fills, and resolves when it is on disk. What fails or throws aborts it.
 *
 * Durability is "relaxed": the operating system has the data, which outlives the tab and the browser. Only a
 * power cut can take it, and "strict" would pay for that with an fsync for each message.
 */
export function transact(db: IDBDatabase, work: (tables: Tables) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const tx = db.transaction([PLACES, MESSAGES], "readwrite", { durability: "relaxed" });
    const attempt = (act: () => void) => {
      try {
        act();
      } catch (error) {
        reject(error);
        tx.abort();
      }
    };
    const ask = <T>(request: IDBRequest<T>, found: (result: T) => void) => {
      request.onsuccess = () => attempt(() => found(request.result));
    };
    tx.oncomplete = () => resolve();
    tx.onabort = () => reject(tx.error);
    const places = tx.objectStore(PLACES);
    const messages = tx.objectStore(MESSAGES);
    attempt(() =>
      work({
        places,
        messages,
        find: ({ name, id }, found) => ask<Place | undefined>(places.get([name, id]), found),
        read: (id, found) => ask<Row[]>(messages.getAll(rowsOf(id)), found),
        commit: () => tx.commit(),
      }),
    );
  });
}

/** Lists the places of a name. */
export function list(db: IDBDatabase, name: string): Promise<Place[]> {
  return new Promise((resolve, reject) => {
    // No string comes after an array (Indexed Database API, "compare two keys").
    const range = IDBKeyRange.bound([name], [name, []]);
    const request = db.transaction(PLACES).objectStore(PLACES).getAll(range);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The messages of a place at some positions. By default, all. */
export const rowsOf = (id: string, from = 0, to = 2 ** 32): IDBKeyRange =>
  IDBKeyRange.bound([id, from], [id, to]);
