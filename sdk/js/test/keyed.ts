// A sidecar that takes keys, played by a test.
import { type Options, ResilientWebSocket } from "../src/index.ts";
import { keys } from "../src/keys.ts";
import type { Data } from "../src/store.ts";
import { decode, encode, isMagic, TYPE, type Welcome } from "../src/wire.ts";
import { encodeWelcome } from "./encode.ts";
import { type Answer, network } from "./network.ts";
import { until } from "./rig.ts";

export const encoder = new TextEncoder();

export const outcome = (fate: number, key: string) => encode(12, fate, ...encoder.encode(key));

/** WELCOME with options; null: of a sidecar that says none. */
export function welcome(options: number | null, fields: Partial<Welcome> = {}): Uint8Array<ArrayBuffer> {
  const bare = encodeWelcome(fields);
  return options === null ? bare : Uint8Array.of(...bare, options);
}

/** What a socket has sent, but for acknowledgements and heartbeats. */
export function said(sent: readonly Data[]): string[] {
  return sent.flatMap((data) => {
    if (typeof data === "string" || !isMagic(data)) {
      return `${data}`;
    }
    if (data[4] === 11) {
      return `KEY ${new TextDecoder().decode(data.subarray(5))}`;
    }
    const type = Object.entries(TYPE).find(([, type]) => type === data[4])?.[0] ?? "SKIPPED";
    return ["ack", "heartbeat", "heartbeatAck"].includes(type) ? [] : type;
  });
}

/** The last message of the sidecar's that a socket has acknowledged. */
export function acked(sent: readonly Data[]): number {
  const acks = sent.flatMap((data) => {
    const control = typeof data !== "string" && isMagic(data) && data[4]! < 11 ? decode(data) : null;
    return control?.type === TYPE.ack ? control.seq : control && "ack" in control ? control.ack : [];
  });
  return acks.at(-1) ?? -1;
}

/** Opens a socket whose sidecar is played by the test. */
export async function opened(
  welcomed: Uint8Array<ArrayBuffer>,
  options: Options = {},
  answer: Answer = "silent",
) {
  const { dials, sockets, webSocket } = network(answer);
  const settings = { webSocket, reconnectDelay: 1, maxReconnectDelay: 1, keys: keys(), ...options };
  const socket = new ResilientWebSocket("ws://k.test/", [], settings);
  const heard: unknown[] = [];
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => heard.push(typeof data === "string" ? data : `${new Uint8Array(data)}`);
  /** Waits for the nth connection, and returns the sidecar's end. */
  const connection = async (n: number) => {
    await until(() => sockets[n - 1]?.readyState === 1, `connection ${n}`);
    return sockets[n - 1]!;
  };
  const first = await connection(1);
  if (answer === "silent") {
    first.says(welcomed);
  }
  await until(() => socket.readyState === 1, "open");
  return { socket, dials, heard, connection, first };
}

/** What a promise comes to, as text. */
export const end = (promise: Promise<unknown>) => promise.then(String, (error) => error.name as string);
