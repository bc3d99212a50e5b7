import { WebSocket } from "ws";
import type { AdoptedEvent, Options, ResetEvent, ResumedEvent } from "../../src/index.ts";
import type { Rig } from "../rig.ts";
import { ResilientWebSocket } from "./class.ts";
import { until } from "./until.ts";

/** Quick for tests: a rig has one client, and nothing is gained by sparing a server that is down. */
const QUICK: Options = { reconnectDelay: 20, maxReconnectDelay: 200, webSocket: WebSocket };

/** What is dialled, or what says it for each dial. */
type Dialled = string | (() => string);

/** A ResilientWebSocket in Node that keeps all that it hears. */
export class Client {
  readonly socket: ResilientWebSocket;
  readonly received: (string | ArrayBuffer)[] = [];
  /** Names of the events but `message` and `statechange`, in their order. */
  readonly events: string[] = [];
  readonly resumed: ResumedEvent[] = [];
  readonly adopted: AdoptedEvent[] = [];
  readonly resets: ResetEvent[] = [];
  closed: CloseEvent | null = null;

  constructor(rig: Rig, options: Options = {}, protocols: string[] = [], url: Dialled = rig.url) {
    const socket = new ResilientWebSocket(url, protocols, { ...QUICK, ...options });
    this.socket = socket;
    rig.atClose(() => {
      socket.close(); // it would dial for ever
      return this.ended();
    });
    socket.binaryType = "arraybuffer";
    for (const name of ["open", "resumed", "adopted", "reset", "error", "close"] as const) {
      socket.addEventListener(name, () => this.events.push(name));
    }
    socket.addEventListener("message", ({ data }) => this.received.push(data));
    socket.addEventListener("resumed", (event) => this.resumed.push(event));
    socket.addEventListener("adopted", (event) => this.adopted.push(event));
    socket.addEventListener("reset", (event) => this.resets.push(event));
    socket.addEventListener("close", (event) => {
      this.closed = event;
    });
  }

  /** Waits for a state. */
  async is(state: ResilientWebSocket["state"]): Promise<this> {
    await until(
      () => this.socket.state === state,
      () => `${state}, it is ${this.socket.state}`,
    );
    return this;
  }

  /** Waits until so many messages were received. */
  async has(count: number): Promise<this> {
    await until(
      () => this.received.length >= count,
      () => `${count} messages, there are ${this.received.length}`,
    );
    return this;
  }

  /** Waits until everything was acknowledged. */
  async delivered(): Promise<this> {
    await until(
      () => this.socket.unacknowledged === 0,
      () => `${this.socket.unacknowledged} bytes are acknowledged`,
    );
    return this;
  }

  /** Waits for the end. */
  async ended(): Promise<CloseEvent> {
    return until(() => this.closed, "close");
  }
}

/** Opens a client. */
export const open = (
  rig: Rig,
  options: Options = {},
  protocols: string[] = [],
  url = rig.url,
): Promise<Client> => new Client(rig, options, protocols, url).is("connected");
