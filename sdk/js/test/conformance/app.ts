import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket as ServerSocket, WebSocketServer } from "ws";
import { until } from "../rig.ts";
import type { Ending } from "./case.ts";

/**
 * The app behind the table. The path of a request names a behaviour:
 *
 * - `echo`: chooses the first subprotocol and echoes.
 * - `mute`: chooses no subprotocol and echoes.
 * - `choose?protocol=`: chooses that subprotocol, offered or not.
 * - `say?count=&close`: says so many messages at once, and may close then with 1000.
 * - `close?code=&reason=`: closes at once; without a code, without one.
 * - `drop`: breaks the connection at the first message.
 * - `count`: says nothing, and notes the number of messages behind the reason of the end.
 * - `refuse?status=`: refuses the handshake.
 */
export class TableApp {
  readonly #endings = new Map<string, Ending>();

  /** Serves the WebSockets of an HTTP server. */
  attach(server: Server): void {
    const sockets = new WebSocketServer({ noServer: true, maxPayload: 0, handleProtocols: choose });
    server.on("upgrade", (request: IncomingMessage, connection: Duplex, head: Buffer) => {
      const { behaviour, query } = parse(request.url);
      if (behaviour === "refuse") {
        connection.end(
          `HTTP/1.1 ${query.get("status")} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
        );
        return;
      }
      sockets.handleUpgrade(request, connection, head, (socket) => {
        this.#note(socket, request.url);
        behave(socket, behaviour, query);
      });
    });
  }

  /** Waits until the socket behind an address has ended. */
  ended(url: string): Promise<Ending> {
    const { key } = parse(url);
    return until(() => this.#endings.get(key), `the app's socket of ${key} ends`);
  }

  #note(socket: ServerSocket, url: string | undefined): void {
    const { behaviour, key } = parse(url);
    let count = 0;
    socket.on("error", () => {}); // `close` tells
    socket.on("message", () => {
      count++;
    });
    socket.on("close", (code, reason) => {
      const counted = behaviour === "count" ? ` ${count}` : "";
      this.#endings.set(key, { code, reason: `${reason}${counted}` });
    });
  }
}

function parse(url = "/") {
  const { pathname, searchParams: query } = new URL(url, "ws://app");
  return { behaviour: pathname.slice(1), query, key: `${query.get("key")}` };
}

function choose(offered: Set<string>, request: IncomingMessage): string | false {
  const { behaviour, query } = parse(request.url);
  const [first = false] = offered;
  return behaviour === "mute" ? false : (query.get("protocol") ?? first);
}

function behave(socket: ServerSocket, behaviour: string, query: URLSearchParams): void {
  switch (behaviour) {
    case "say":
      for (let i = 0; i < Number(query.get("count")); i++) {
        socket.send(`${i}`);
      }
      if (query.has("close")) {
        socket.close(1000);
      }
      break;
    case "close":
      if (query.has("code")) {
        socket.close(Number(query.get("code")), query.get("reason") ?? "");
      } else {
        socket.close();
      }
      break;
    case "drop":
      socket.on("message", () => socket.terminate());
      break;
    case "count":
      break;
    default:
      socket.on("message", (data, binary) => socket.send(data, { binary }));
  }
}
