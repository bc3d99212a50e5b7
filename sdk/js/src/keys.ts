import type { StartShare } from "./driver.ts";
import { KeyedDriver } from "./keys-driver.ts";
import type { Keying } from "./options.ts";

export type { DeliverOptions, Fate } from "./options.ts";

/**
 * For the option `keys`: `deliver(data, { key })` sends a message that acts once under its key, whichever device sends
 * another one with that key, and through whichever pod, and tells what became of it. Whose keys are one set, and for
 * how long, the sidecar's rules say (WSR_IDEMPOTENCY_RULES, with the key "client").
 */
export function keys(): Keying {
  const start: StartShare = (make, settings, act) => {
    if (settings.persist) {
      throw new TypeError("wsresilience: keys and persist exclude each other");
    }
    return new KeyedDriver(make, settings, act);
  };
  return start;
}
