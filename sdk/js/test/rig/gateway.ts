import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type RawData, WebSocket, WebSocketServer } from "ws";

/** A gateway that takes WebSockets apart and closes those with a message above its limit, with 1009. */
export interface Gateway {
  readonly url: string;
  /** Connections so far. */
  readonly dials: number;
  close(): Promise<void>;
}

/** Starts a gateway in front of a URL, on the loopback interface. */
export async function startGateway(behind: string, limit: number): Promise<Gateway> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "wsr.v1" });
  const open = new Set<WebSocket>();
  let dials = 0;
  server.on("connection", async (client, { headers }) => {
    dials++;
    const early: [RawData, boolean][] = [];
    const offered = headers["sec-websocket-protocol"]!.split(/, */);
    const upstream = new WebSocket(behind, offered);
    open.add(upstream);
    const pass = (data: RawData, binary: boolean) => {
      if ((data as Buffer).length > limit) {
        client.close(1009);
        upstream.terminate();
      } else if (upstream.readyState === WebSocket.OPEN) {
        upstream.send(data, { binary });
      } else {
        early.push([data, binary]);
      }
    };
    client.on("message", pass);
    client.on("close", () => upstream.terminate());
    upstream.on("error", () => client.terminate());
    upstream.on("close", () => client.readyState === WebSocket.OPEN && client.terminate());
    upstream.on("message", (data, binary) => client.send(data, { binary }));
    upstream.on("open", () => {
      for (const message of early) pass(...message);
    });
  });
  await once(server, "listening");
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get dials() {
      return dials;
    },
    async close() {
      for (const socket of [...open, ...server.clients]) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
