import type { StartShare } from "./driver.ts";
import type { Sharing } from "./options.ts";
import { Tab } from "./share-tab.ts";

/**
 * For the option `share`: the tabs of one browser whose sockets have this name, on one origin, have one session and one
 * connection. One of them, the leader, holds it; when it is closed, reloaded, frozen or dies, another goes on with the
 * session, and no tab misses anything. Where there is no BroadcastChannel, or no Web Locks, as in a page that is no
 * secure context, each has its own.
 */
export function tabs(name: string): Sharing {
  const start: StartShare = (make, settings, act) => {
    if (settings.persist) {
      throw new TypeError("wsresilience: share and persist exclude each other");
    }
    if (settings.keys) {
      throw new TypeError("wsresilience: share and keys exclude each other");
    }
    if (globalThis.BroadcastChannel && globalThis.navigator?.locks) {
      return new Tab(name, make, settings, act);
    }
    console.info("wsresilience: no shared connection: BroadcastChannel or Web Locks are missing");
    return undefined;
  };
  return start;
}
