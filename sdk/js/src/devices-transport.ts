import { readShared, SHARE_ENTRY, type Shared } from "./devices-wire.ts";
import { isWelcome, readOptions } from "./keys-wire.ts";
import type { WebSocketConstructor } from "./options.ts";
import { type Brought, RelayTransport } from "./relay-transport.ts";

/** Notes what stands for a SHARED among the messages of the app. */
export type Stands = (place: ArrayBuffer, shared: Shared) => void;

/**
 * One socket, and what `wsr.share` adds to it: the machine knows of no other devices. It counts SHARED as a message of
 * the app, since what stands for one is given to it in its place.
 */
export class DeviceTransport extends RelayTransport {
  private readonly stands: Stands;
  private hasWelcome = false;

  constructor(make: WebSocketConstructor, stands: Stands, url: string, protocols: string[]) {
    super(make, SHARE_ENTRY, url, protocols);
    this.stands = stands;
  }

  protected override heard(data: Brought): void {
    const message = this.ours(data);
    const shared = this.hasWelcome ? readShared(message) : undefined;
    if (isWelcome(message)) {
      this.hasWelcome = true;
      this.bring(readOptions(message)?.bare.buffer ?? data);
    } else if (shared) {
      const place = new ArrayBuffer(message.length);
      this.stands(place, shared);
      this.bring(place);
    } else {
      this.bring(data);
    }
  }
}
