import { connect, createServer, type Server, type Socket } from "node:net";
import { Lane } from "./lane.ts";
import { freePort } from "./port.ts";
import { reset } from "./reset.ts";

/** Where bytes go: `up` from the client to the sidecar, `down` from the sidecar to the client. */
export type Direction = "up" | "down";

/**
 * How a connection is cut. `rst`, `fin`: both ends are told. `half-client`, `half-server`: only that end is
 * told, and the other one believes in a connection on which nothing ever comes.
 */
export type Cut = "rst" | "fin" | "half-client" | "half-server";

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly lanes: readonly [Lane, Lane];
}

/** A TCP proxy in front of a sidecar whose network can be spoilt. Its address stays the same. */
export class FaultProxy {
  port = 0;
  /** The port that new connections are passed to. */
  target: number;
  /** Bytes that came from each side, ever. */
  readonly bytes: Record<Direction, number> = { up: 0, down: 0 };
  /** Connections that were taken, ever. */
  accepted = 0;
  /** Sees all bytes as they are passed on. */
  tap: ((direction: Direction, bytes: Buffer) => void) | null = null;
  /** Milliseconds that bytes are under way. */
  latency = 0;
  /** Bytes per second in each direction. */
  rate = Number.POSITIVE_INFINITY;
  /** Whether bytes are held back. */
  silent = false;
  #server: Server | null = null;
  #blackhole = false;
  readonly #links = new Set<Link>();
  /** Halves of connections that nobody told of the cut. */
  readonly #halves = new Set<Socket>();
  /** Connections that were taken while nothing was passed on. */
  readonly #swallowed = new Set<Socket>();

  constructor(target: number) {
    this.target = target;
  }

  async start(): Promise<void> {
    this.port = await freePort();
    await this.#listen();
  }

  /** Connections that are passed on at present. */
  get connections(): number {
    return this.#links.size;
  }

  /** Connections that were taken, will never be answered, and are not given up. */
  get swallowed(): number {
    return this.#swallowed.size;
  }

  /** Cuts all connections. New ones are taken. */
  cut(how: Cut = "rst"): void {
    for (const link of this.#links) {
      this.#links.delete(link);
      for (const lane of link.lanes) lane.stop();
      for (const [socket, untold] of [
        [link.client, "half-server"],
        [link.server, "half-client"],
      ] as const) {
        if (how === untold) this.#keep(socket, this.#halves);
        else if (how === "fin") socket.end().destroySoon();
        else reset(socket);
      }
    }
  }

  /** Holds all bytes, of new connections too, and loses none. */
  silence(): void {
    this.silent = true;
    this.#pump();
  }

  heal(): void {
    this.silent = false;
    this.#pump();
  }

  /**
   * Spoils new connections: true refuses them, "blackhole" takes them and never answers, false passes them on.
   * What was swallowed by then stays so.
   */
  async down(how: boolean | "blackhole"): Promise<void> {
    this.#blackhole = how === "blackhole";
    if (how !== true) return this.#listen();
    const server = this.#server;
    this.#server = null;
    server?.close(); // listens no more from here on; open connections stay
  }

  delay(ms: number): void {
    this.latency = ms;
  }

  bandwidth(rate: number): void {
    this.rate = rate;
  }

  async close(): Promise<void> {
    await this.down(true);
    this.cut("rst");
    for (const socket of [...this.#halves, ...this.#swallowed]) socket.destroy();
  }

  async #listen(): Promise<void> {
    if (this.#server !== null) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(this.port, "127.0.0.1", resolve);
    });
    this.#server = server;
  }

  #accept(client: Socket): void {
    this.accepted++;
    if (this.#blackhole) {
      this.#keep(client, this.#swallowed);
      return;
    }
    const server = connect({ port: this.target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const link: Link = {
      client,
      server,
      lanes: [new Lane(this, "up", client, server), new Lane(this, "down", server, client)],
    };
    this.#links.add(link);
    for (const socket of [client, server]) {
      socket.on("error", () => this.#broke(link));
      socket.on("close", () => this.#closed(link));
    }
  }

  /** One end broke: the other one is told the same. */
  #broke(link: Link): void {
    if (!this.#links.delete(link)) return;
    for (const lane of link.lanes) lane.stop();
    for (const socket of [link.client, link.server]) if (!socket.destroyed) reset(socket);
  }

  #closed(link: Link): void {
    if (link.client.destroyed && link.server.destroyed) this.#links.delete(link);
  }

  /** Keeps a socket open for as long as its peer does, and never says anything. */
  #keep(socket: Socket, among: Set<Socket>): void {
    among.add(socket);
    socket.on("error", () => {}); // its close event follows
    socket.once("end", () => socket.destroy());
    socket.once("close", () => among.delete(socket));
    socket.resume();
  }

  #pump(): void {
    for (const link of this.#links) for (const lane of link.lanes) lane.pump();
  }
}
