import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/**
 * Ports are taken from below the range that the kernel gives to outgoing connections, so that a server that
 * was stopped finds its port free when it starts again.
 */
const LOWEST = 16_000;
const HIGHEST = 32_000;

/** How many ports are looked at before something else must be wrong. */
const TRIES = 100;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** Finds a TCP port of the loopback interface that nobody listens on. */
export async function freePort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port");
}
