// The services of each example, as processes instead of containers, and its page in Chromium: the app and a whole pod
// are killed under it. It needs what npm ci of each example fetches.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { Journal } from "../rig/journal.ts";
import { freePort } from "../rig/port.ts";
import { Child } from "../rig/process.ts";
import { Sidecar, startBrowser, until } from "../rig.ts";
import { EXAMPLES, imageCommand, readCompose, type Service } from "./compose.ts";

/** An app and its sidecar, as the compose file has them. */
class Pod {
  sidecar!: Sidecar;
  #app: Child | null = null;
  #alive = true;
  #port = 0;

  async start(folder: string, app: Service, sidecar: Service, journal: string): Promise<void> {
    assert.ok(app.build === ".");
    this.#port = await freePort();
    this.#run(folder);
    const { WSR_UPSTREAM: _, ...environment } = sidecar.environment!;
    this.sidecar = new Sidecar(this.#port, { ...environment, WSR_NATS_URL: journal });
    await this.sidecar.start();
  }

  /** The app, which starts again when it ends: restart is always. */
  #run(folder: string): void {
    const [program, file] = imageCommand(folder);
    const child = new Child(program!, [join(folder, file!)], {
      ...process.env,
      PORT: `${this.#port}`,
      HOST: "127.0.0.1",
    });
    this.#app = child;
    void child.over().then(() => this.#alive && this.#run(folder));
  }

  async kill(): Promise<void> {
    this.#alive = false;
    await Promise.all([this.sidecar.kill(), this.#app?.end("SIGKILL")]);
  }
}

/** What nginx does in the compose file: a connection goes to the first pod that takes it. */
async function front(pods: readonly Pod[]): Promise<Server> {
  const server = createServer((near) => {
    near.on("error", () => {});
    const attempt = (left: readonly Pod[]): void => {
      const [pod, ...rest] = left;
      if (!pod) return void near.resetAndDestroy();
      const far = connect(pod.sidecar.port, "127.0.0.1");
      far.once("connect", () => near.pipe(far).pipe(near));
      far.once("error", () =>
        far.connecting || far.bytesRead === 0 ? attempt(rest) : near.resetAndDestroy(),
      );
      far.once("close", () => far.bytesRead > 0 && near.destroy());
      near.once("close", () => far.destroy());
    };
    attempt(pods);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

for (const name of readdirSync(EXAMPLES).filter((one) => existsSync(join(EXAMPLES, one, "compose.yaml")))) {
  test(`${name}: its page goes on when the app is killed, and when a pod is`, async () => {
    const folder = join(EXAMPLES, name);
    execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
      cwd: folder,
      stdio: "ignore",
    });
    const { services } = readCompose(join(folder, "compose.yaml"));
    const journal = new Journal();
    await journal.start();
    const pods = [new Pod(), new Pod()];
    const browser = await startBrowser();
    let server: Server | undefined;
    try {
      for (const [i, pod] of pods.entries()) {
        await pod.start(folder, services[`app-${i + 1}`]!, services[`sidecar-${i + 1}`]!, journal.url);
      }
      server = await front(pods);
      const page = await browser.newPage();
      const at = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
      await until(async () => (await page.goto(at))?.ok(), "the app is up");
      const value = async (id: string): Promise<number> => Number(await page.locator(`#${id}`).textContent());
      const goesOn = async (what: string): Promise<void> => {
        const sent = await value("sent");
        await until(
          async () => (await value("back")) > sent,
          () => `${what}: it goes on`,
          60_000,
        );
      };
      await goesOn("at first");
      await page.locator("#kill").click();
      await goesOn("after the app was killed");
      await pods[0]!.kill();
      await goesOn("after its pod was killed");
      // What an app that died had read and not answered nobody can promise.
      assert.ok((await value("missing")) <= 2, `${await value("missing")} are missing`);
    } finally {
      await browser.close();
      server?.close();
      await Promise.all(pods.map((pod) => pod.kill()));
      await journal.stop();
    }
  });
}
