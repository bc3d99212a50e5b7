import type { Socket } from "node:net";
import type { Direction } from "./proxy.ts";

/** Bytes that are under way at most; above, the sender waits. */
const MOST = 4 << 20;

/** What a lane does with its bytes. It may change at any time. */
export interface Weather {
  readonly bytes: Record<Direction, number>;
  readonly tap: ((direction: Direction, bytes: Buffer) => void) | null;
  readonly latency: number;
  readonly rate: number;
  readonly silent: boolean;
}

interface Packet {
  /** Null is the end of the stream. */
  readonly bytes: Buffer | null;
  readonly due: number;
}

/** One direction of a connection through the fault proxy. */
export class Lane {
  readonly #weather: Weather;
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  #queue: Packet[] = [];
  #queued = 0;
  #free = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(weather: Weather, direction: Direction, from: Socket, to: Socket) {
    this.#weather = weather;
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    from.on("data", this.#take);
    from.on("end", this.#end);
    to.on("drain", this.pump);
  }

  readonly #take = (bytes: Buffer): void => {
    const { latency, rate } = this.#weather;
    const now = performance.now();
    this.#weather.bytes[this.#direction] += bytes.length;
    this.#free = Math.max(this.#free, now) + (bytes.length / rate) * 1000;
    this.#queue.push({ bytes, due: this.#free + latency });
    this.#queued += bytes.length;
    if (this.#queued > MOST) this.#from.pause();
    this.pump();
  };

  readonly #end = (): void => {
    this.#queue.push({ bytes: null, due: Math.max(this.#free, performance.now()) + this.#weather.latency });
    this.pump();
  };

  /** Passes on what is due. */
  readonly pump = (): void => {
    clearTimeout(this.#timer);
    while (!this.#weather.silent && !this.#to.destroyed && !this.#to.writableNeedDrain) {
      const next = this.#queue[0];
      if (next === undefined) break;
      const wait = next.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(this.pump, Math.ceil(wait));
        return;
      }
      this.#queue.shift();
      this.#pass(next.bytes);
    }
    if (this.#queued <= MOST && this.#from.isPaused()) this.#from.resume();
  };

  #pass(bytes: Buffer | null): void {
    if (bytes === null) {
      this.#to.end();
      return;
    }
    this.#queued -= bytes.length;
    this.#weather.tap?.(this.#direction, bytes);
    this.#to.write(bytes);
  }

  /** Forgets what is under way and passes nothing on any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#from.off("data", this.#take).off("end", this.#end);
    this.#to.off("drain", this.pump);
  }
}
