import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import { type WebSocket as ServerSocket, WebSocketServer } from "ws";
import { freePort } from "./port.ts";
import { reset } from "./reset.ts";

/** A socket as the app saw it. */
export class AppSocket {
  readonly ws: ServerSocket;
  readonly request: IncomingMessage;
  readonly received: (string | Buffer)[] = [];
  /** How it ended, for the app. */
  closed: { code: number; reason: string } | null = null;

  constructor(ws: ServerSocket, request: IncomingMessage) {
    this.ws = ws;
    this.request = request;
  }

  send(data: string | Uint8Array): void {
    this.ws.send(data);
  }
}

export interface AppOptions {
  /** Does something with a new socket. */
  onSocket?: (socket: AppSocket) => void;
  /** Does something with a message, which `received` has by then. */
  onMessage?: (socket: AppSocket, data: string | Buffer) => void;
  /** Chooses a subprotocol. Default: the first that is offered. False: none. */
  protocols?: (offered: Set<string>, request: IncomingMessage) => string | false;
  /** Answers an upgrade with this status instead, or with what is said of its request; 0: with none. */
  refuse?: number | ((request: IncomingMessage) => number);
  /** Answers plain requests with this status. Default: 404. */
  status?: number;
  /** Serves WebSockets instead of the app: what a library attaches to an HTTP server. Called at each start. */
  attach?: (server: Server) => void;
}

export const echo: AppOptions = { onMessage: (socket, data) => socket.send(data) };

/**
 * An HTTP and WebSocket server that records what it sees. The options may be
 * changed at any time. Its port stays the same over restarts.
 */
export class App {
  port = 0;
  readonly options: AppOptions;
  /** All sockets there ever were, in the order in which they came. */
  readonly sockets: AppSocket[] = [];
  #server: Server | null = null;
  readonly #connections = new Set<Socket>();

  constructor(options: AppOptions = {}) {
    this.options = { ...options };
  }

  /** The newest socket. */
  get socket(): AppSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("the app has no socket");
    return socket;
  }

  /** All messages of all sockets. */
  get received(): (string | Buffer)[] {
    return this.sockets.flatMap((socket) => socket.received);
  }

  async start(): Promise<void> {
    this.port ||= await freePort();
    const server = createServer((_, response) => response.writeHead(this.options.status ?? 404).end());
    server.on("connection", (connection) => {
      this.#connections.add(connection);
      connection.once("close", () => this.#connections.delete(connection));
    });
    if (this.options.attach) this.options.attach(server);
    else this.#serve(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(this.port, "127.0.0.1", resolve);
    });
    this.#server = server;
  }

  /** Breaks all connections, as a crash does, and listens no more. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const gone = new Promise((resolve) => server.close(resolve));
    for (const connection of this.#connections) reset(connection);
    await gone;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  #serve(server: Server): void {
    const sockets = new WebSocketServer({
      noServer: true,
      maxPayload: 0,
      handleProtocols: (offered, request) =>
        this.options.protocols
          ? this.options.protocols(offered, request)
          : (offered.values().next().value ?? false),
    });
    server.on("upgrade", (request, connection, head) => {
      const { refuse = 0 } = this.options;
      const status = typeof refuse === "number" ? refuse : refuse(request);
      if (status) {
        connection.end(`HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        return;
      }
      sockets.handleUpgrade(request, connection, head, (ws) => this.#accept(new AppSocket(ws, request)));
    });
  }

  #accept(socket: AppSocket): void {
    this.sockets.push(socket);
    socket.ws.on("error", () => {}); // its close event tells
    socket.ws.on("close", (code, reason) => {
      socket.closed = { code, reason: reason.toString() };
    });
    socket.ws.on("message", (raw, binary) => {
      const data = binary ? (raw as Buffer) : raw.toString();
      socket.received.push(data);
      this.options.onMessage?.(socket, data);
    });
    this.options.onSocket?.(socket);
  }
}
