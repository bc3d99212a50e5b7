import type { StartShare } from "./driver.ts";
import { KeyedDriver } from "./keys-driver.ts";
import type { Keying } from "./options.ts";

export type { DeliverOptions, Fate } from "./options.ts";

/** How keys are used. */
export interface KeysOptions {
  /**
   * When the session is lost at the sidecar, and each message that is not acknowledged has a key, another session is
   * begun by itself, and they are sent again with their keys: they act once, and `adopted` says `renewed`. It is for
   * apps that know from the handshake who the client is, and keys whose scope is the user or the path. Default: false.
   */
  readonly renew?: boolean;
}

/**
 * For the option `keys`: `deliver(data, { key })` sends a message that acts once under its key, whichever device sends
 * another one with that key, and through whichever pod, and tells what became of it. Whose keys are one set, and for
 * how long, the sidecar's rules say (WSR_IDEMPOTENCY_RULES, with the key "client").
 */
export function keys({ renew = false }: KeysOptions = {}): Keying {
  const start: StartShare = (make, settings, act) => new KeyedDriver(make, settings, act, renew);
  return start;
}
