import { randomBytes } from "node:crypto";
import { freePort } from "./port.ts";
import { Child, program, temporaryFolder } from "./process.ts";
import { until } from "./until.ts";

/** How often another port is tried: one that was free may be taken a moment later. */
const TRIES = 3;

/** Heartbeats are quick, so that a half-open connection is found soon, and so are leases and drains. */
const QUICK: Readonly<Record<string, string>> = {
  WSR_HEARTBEAT_BASE: "300ms",
  WSR_HEARTBEAT_MIN: "250ms",
  WSR_HEARTBEAT_MAX: "1s",
  WSR_DRAIN_SECONDS: "3",
  WSR_UPSTREAM_RETRY: "20s",
  WSR_LOG_LEVEL: "error",
  WSR_LOG_FORMAT: "text",
};

/** A key for tokens and journal; sidecars that share it can open each other's. */
export const tokenKey = (): string => randomBytes(32).toString("base64");

/** A sidecar as a process. Its ports and its data folder stay the same over restarts. */
export class Sidecar {
  port = 0;
  #admin = 0;
  #child: Child | null = null;
  readonly #upstream: number;
  readonly #environment: Readonly<Record<string, string>>;

  constructor(upstream: number, environment: Readonly<Record<string, string>>) {
    this.#upstream = upstream;
    const { WSR_NATS_URL: journal } = environment;
    const folder = journal ? {} : { WSR_DATA_DIR: temporaryFolder() };
    this.#environment = { ...QUICK, WSR_TOKEN_KEYS: tokenKey(), ...folder, ...environment };
  }

  /** Starts it for the first time, on free ports. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.port = await freePort();
      this.#admin = await freePort();
      try {
        return await this.run();
      } catch (error) {
        if (attempt === TRIES) throw error;
      }
    }
  }

  /** Starts it where it was. Returns when it is ready. */
  async run(): Promise<void> {
    const child = new Child(program("sidecar", "./cmd/wsresilience-sidecar"), ["run"], {
      WSR_LISTEN: `127.0.0.1:${this.port}`,
      WSR_ADVERTISE: `127.0.0.1:${this.port}`,
      WSR_ADMIN_LISTEN: `127.0.0.1:${this.#admin}`,
      WSR_UPSTREAM: `http://127.0.0.1:${this.#upstream}`,
      ...this.#environment,
    });
    this.#child = child;
    const ready = (): Promise<boolean> =>
      child.ended
        ? Promise.reject(new Error(`the sidecar ended: ${child.output}`))
        : this.admin("/readyz").then(
            (answer) => answer.ok,
            () => false,
          );
    await until(ready, () => `the sidecar is ready: ${child.output}`);
  }

  /** Asks the admin endpoint. */
  async admin(path: string, method = "GET"): Promise<{ ok: boolean; text: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.#admin}${path}`, { method });
    return { ok: answer.ok, text: await answer.text() };
  }

  /** Hands all sessions over; returns when that is done. */
  async drain(): Promise<void> {
    const { ok, text } = await this.admin("/drain", "POST");
    if (!ok) throw new Error(`drain: ${text}`);
  }

  /** Ends it at once, as a crash does. */
  async kill(): Promise<void> {
    await this.#child?.end("SIGKILL");
  }

  /** Ends it as Kubernetes does: it drains first. */
  async stop(): Promise<void> {
    await this.#child?.end("SIGTERM");
  }

  /** Kills it and starts it again on the same port, with the same journal and keys. */
  async restart(): Promise<void> {
    await this.kill();
    await this.run();
  }

  /** SIGSTOP: its sockets stay open and nothing answers. */
  pause(): void {
    this.#child?.signal("SIGSTOP");
  }

  resume(): void {
    this.#child?.signal("SIGCONT");
  }
}
