import { writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { freePort } from "./port.ts";
import { Child, program, temporaryFolder } from "./process.ts";
import { until } from "./until.ts";

/** Above what the sidecars' streams may grow to, which JetStream wants to see allowed. */
const STORE = "16GB";

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.once("data", () => socket.destroy());
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(socket.bytesRead > 0));
  });
}

/** A NATS server as a process, for a journal that several sidecars share. */
export class Journal {
  url = "";
  #child: Child | null = null;

  async start(): Promise<void> {
    const port = await freePort();
    const folder = temporaryFolder();
    const settings = join(folder, "nats.conf");
    writeFileSync(
      settings,
      `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${folder}", max_file_store: ${STORE}, max_memory_store: 16MB }\n`,
    );
    const child = new Child(program("nats", "github.com/nats-io/nats-server/v2"), ["-c", settings], {});
    this.#child = child;
    await until(
      () => answers(port),
      () => `NATS is ready: ${child.output}`,
    );
    this.url = `nats://127.0.0.1:${port}`;
  }

  async stop(): Promise<void> {
    await this.#child?.end("SIGKILL");
  }
}
