import type { Data } from "../../src/store.ts";
import { decode, isMagic, SKIPPED, TYPE } from "../../src/wire.ts";

/** Messages that are longer are told by their length. */
const SHOWN = 40;

/** Shows a message of the app. */
export function data(message: Data): string {
  if (typeof message === "string") {
    return show("text", Buffer.from(message));
  }
  return isMagic(message) ? show("magic", message.subarray(4)) : show("binary", message);
}

function show(kind: string, bytes: Uint8Array): string {
  return bytes.length > SHOWN
    ? `${kind} of ${bytes.length} bytes`
    : `${kind} ${JSON.stringify(Buffer.from(bytes).toString())}`;
}

/** Shows a message on the wire. */
export function words(message: Data): string {
  if (message === SKIPPED) {
    return "SKIPPED";
  }
  if (typeof message === "string" || !isMagic(message)) {
    return data(message);
  }
  if (message[4] === TYPE.restored) {
    return "RESTORED"; // which no client gets
  }
  if (message[4] === TYPE.restore) {
    const body = message.subarray(6);
    return `RESTORE ${data(message[5] === 1 ? new TextDecoder().decode(body) : body)}`;
  }
  const c = decode(message);
  switch (c.type) {
    case TYPE.escaped:
      return `ESCAPED ${data(c.data)}`;
    case TYPE.ack:
      return `ACK ${c.seq}`;
    case TYPE.heartbeat:
    case TYPE.heartbeatAck: {
      const name = c.type === TYPE.heartbeat ? "HEARTBEAT" : "HEARTBEAT_ACK";
      const seq = new DataView(c.payload.buffer).getUint32(0);
      return `${name} seq ${seq} sent ${c.sent} ack ${c.ack}`;
    }
    case TYPE.close:
      return `CLOSE ${c.code} ${c.reason}`.trim();
    default:
      return `what a client does not send: type ${c.type}`;
  }
}
