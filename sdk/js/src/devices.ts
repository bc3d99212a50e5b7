import { DeviceTransport } from "./devices-transport.ts";
import type { Shared } from "./devices-wire.ts";
import type { Act, Driver, StartShare } from "./driver.ts";
import { makeEvent } from "./events.ts";
import type { Sharing } from "./options.ts";

export type { ConflictEvent, JoinedEvent, LeftEvent, SynchronisedEvent, SyncMode } from "./events.ts";

/**
 * For the option `share`: the page hears of the other devices on its session, where a sidecar joins the devices of a
 * user (WSR_SHARE), by the events `joined`, `left`, `conflict` and `synchronised`.
 */
export function devices(): Sharing {
  const start: StartShare = (make, settings, act) => {
    if (settings.persist || settings.keys) {
      throw new TypeError("wsresilience: devices() excludes persist and keys");
    }
    const places = new WeakMap<object, Shared>();
    const transport = settings.webSocket!;
    const webSocket = class extends DeviceTransport {
      constructor(url: string, protocols: string[] = []) {
        super(transport, (place, shared) => void places.set(place, shared), url, protocols);
      }
    };
    let others: readonly number[] = [];
    const hear: Act = (output) => {
      const shared =
        output instanceof Event || typeof output.data === "string"
          ? undefined
          : places.get(output.data.buffer);
      if (output instanceof Event && (output.type === "reset" || output.type === "close")) {
        others = []; // another session has others
      }
      if (!shared) {
        act(output);
        return;
      }
      const { what } = shared;
      if (what === "members") {
        const all = shared.all.filter((member) => member !== shared.self);
        const before = others;
        others = all;
        tell(act, "joined", all, before);
        tell(act, "left", before, all);
      } else if (what === "synchronised") {
        const { mode, messages, version } = shared;
        act(makeEvent(what, { mode, messages, version }));
      } else if (what === "conflict") {
        const { key, present, seq } = shared;
        act(makeEvent(what, { message: (seq - driver.core.out.wireShift) >>> 0, key, present }));
      }
    };
    const driver: Driver = make({ ...settings, webSocket }, hear);
    return driver;
  };
  return start;
}

/** Tells of each member that is among some and not among others. */
function tell(act: Act, type: string, some: readonly number[], others: readonly number[]): void {
  for (const member of some) {
    if (!others.includes(member)) {
      act(makeEvent(type, { member }));
    }
  }
}
