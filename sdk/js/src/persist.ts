import type { Persistence } from "./options.ts";
import { open } from "./persist-open.ts";
import { keep } from "./saving.ts";
import type { Store } from "./store.ts";

export type { Data, Restored, Saved, SavedMessage, Store } from "./store.ts";

/**
 * Keeps the session and its outbox in IndexedDB under a name, for the option `persist`: a reload, or another
 * visit after a crash, goes on with both. Several tabs with one name each have their own.
 */
export function indexedDBStore(name: string): Persistence {
  return customStore(() => open(name));
}

/** Like `indexedDBStore`, for a store of your own, which `open` opens for each socket. */
export function customStore(open: () => Store | Promise<Store>): Persistence {
  return keep(open);
}
