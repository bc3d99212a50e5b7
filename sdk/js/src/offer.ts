import type { Resume } from "./connection.ts";
import type { Options } from "./options.ts";
import { SUBPROTOCOL } from "./wire.ts";

/** Offered first where the app has no protocol of its own, for servers that echo what comes first. */
const DECOY = "wsr";

/** Whether a subprotocol is one of ours. */
export function isOwn(protocol: string): boolean {
  return protocol === DECOY || protocol.startsWith("wsr.");
}

/** The subprotocols of a handshake (PROTOCOL §2.1): a new session, or with `resume` one that goes on. */
export function offer(app: readonly string[], adopt: Options["adopt"], resume?: Resume): string[] {
  const list = [...(app.length ? app : [DECOY]), SUBPROTOCOL];
  if (adopt) {
    list.push("wsr.adopt");
  }
  if (adopt === "reopen") {
    list.push(`wsr.${adopt}`);
  }
  if (resume) {
    list.push(`wsr.resume.${resume.token}.${resume.lastIn}.${resume.next}.${resume.dial}`);
  }
  return list;
}
