import { createHash } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Options } from "../../src/index.ts";
import { freePort } from "./port.ts";
import { reset } from "./reset.ts";

/** What is done with a connection once its request is there. */
const FAILURES = {
  reset: (socket) => reset(socket),
  closed: (socket) => socket.destroySoon(),
  hangs: () => {},
  "502": (socket) => socket.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
  "503": (socket) => socket.end("HTTP/1.1 503 Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
  "closed mid-head": (socket) => socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"),
  "101 without our entry": (socket, head) => socket.write(accepting(head)),
} satisfies Record<string, (socket: Socket, head: string) => unknown>;

/** How a handshake fails. A refused one finds no server. */
export type Failure = keyof typeof FAILURES | "refused";

export const failures = [...Object.keys(FAILURES), "refused"] as Failure[];

/** Waits briefly for a handshake that hangs, and for no other: all of a socket's first handshakes share the time. */
export const patience = (failure: Failure, { left }: Spoiler): Pick<Options, "connectTimeout"> =>
  failure === "hangs" && left > 0 ? { connectTimeout: 300 } : {};

function accepting(head: string): string {
  const key = /^sec-websocket-key: *(\S+)/im.exec(head)?.[1] ?? "";
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64"); // RFC 6455 §1.3
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

/** Lets the first handshakes with a server fail, and passes later ones on. */
export class Spoiler {
  /** Handshakes that are still to fail. */
  left: number;
  #port = 0;
  #dead = 0;
  readonly #server: Server;
  readonly #failure: Failure;
  readonly #sockets = new Set<Socket>();

  constructor(target: number, failure: Failure, times: number) {
    this.#failure = failure;
    this.left = times;
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#keep(socket);
      if (this.left > 0) {
        this.left--;
        this.#spoil(socket);
        return;
      }
      const server = connect({ port: target, host: "127.0.0.1", noDelay: true });
      this.#keep(server);
      socket.pipe(server).pipe(socket);
      socket.once("close", () => server.destroy());
      server.once("close", () => socket.destroy());
    });
  }

  async start(): Promise<void> {
    this.#port = await freePort();
    this.#dead = await freePort();
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(this.#port, "127.0.0.1", resolve);
    });
  }

  /** The address for the next dial, and for no other. */
  readonly url = (): string => {
    if (this.#failure === "refused" && this.left > 0) {
      this.left--;
      return `ws://127.0.0.1:${this.#dead}/`;
    }
    return `ws://127.0.0.1:${this.#port}/`;
  };

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {}); // its close event follows
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #spoil(socket: Socket): void {
    let head = "";
    socket.on("data", (bytes) => {
      const before = head;
      head += bytes.toString("latin1");
      if (before.includes("\r\n\r\n") || !head.includes("\r\n\r\n")) return;
      if (this.#failure !== "refused") FAILURES[this.#failure](socket, head);
    });
  }
}
