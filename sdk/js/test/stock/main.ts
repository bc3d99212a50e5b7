// Stock apps with their untouched pages in Chromium: what a page misses while its network swallows and cuts,
// and while its pod is replaced, without the sidecar and with it (docs/PAGES.md).
import { parseArgs } from "node:util";
import { Journal } from "../rig/journal.ts";
import { freePort } from "../rig/port.ts";
import { tokenKey } from "../rig/sidecar.ts";
import { FaultProxy, Sidecar, sleep, startBrowser, until } from "../rig.ts";
import type { AppProcess, StockApp } from "./app.ts";
import { has } from "./app.ts";
import { graphiql } from "./apps/graphiql.ts";
import { jupyter } from "./apps/jupyter.ts";
import { nodered } from "./apps/nodered.ts";
import { socketio } from "./apps/socketio.ts";
import { ywebsocket } from "./apps/ywebsocket.ts";
import { Judge, type Outcome } from "./judge.ts";

const APPS: readonly StockApp[] = [jupyter, nodered, socketio, graphiql, ywebsocket];

/** How long the network swallows before it cuts, and how long it is well afterwards, in ms. */
const SWALLOWS = 300;
const WELL = 700;

/** How often the page is looked at, in ms: one that forgets must not do so between two looks. */
const LOOK = 500;

/** How long a page has to show something new in the end: beyond what apps wait before they connect again. */
const PATIENCE = 30_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { cuts: { type: "string", default: "20" }, help: { type: "boolean", short: "h" } },
});
if (values.help) {
  console.log(`usage: node --import tsx test/stock/main.ts [--cuts N] [app...]

Runs stock apps with untouched pages in Chromium, without and with a sidecar.
  --cuts N   how often the network swallows and cuts (20)
  app        parts of the names of apps: ${APPS.map(({ name }) => name).join(", ")} (all)`);
  process.exit();
}
const cuts = Number(values.cuts);
const chosen = APPS.filter(
  ({ name }) =>
    !positionals.length || positionals.some((part) => name.toLowerCase().includes(part.toLowerCase())),
);
if (!chosen.length || !(cuts >= 0)) {
  console.error(`no app is called ${positionals.join(" or ")}, or cuts is no number: see --help`);
  process.exit(2);
}

/** A pod: the app, and the sidecar beside it where there is one. */
interface Pod {
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts pods of an app that share a journal, and ends all that is left of them. */
class Pods {
  readonly #app: StockApp;
  readonly #settings: Record<string, string> | null;
  readonly #ends: (() => Promise<void>)[] = [];

  private constructor(app: StockApp, settings: Record<string, string> | null) {
    this.#app = app;
    this.#settings = settings;
  }

  static async of(app: StockApp, aided: boolean): Promise<Pods> {
    if (!aided) return new Pods(app, null);
    const journal = new Journal();
    await journal.start();
    const pods = new Pods(app, {
      WSR_PAGE_CLIENT: "inject",
      WSR_NATS_URL: journal.url,
      WSR_NATS_REPLICAS: "1",
      WSR_TOKEN_KEYS: tokenKey(),
    });
    pods.#ends.push(() => journal.stop());
    return pods;
  }

  async start(): Promise<Pod> {
    const port = await freePort();
    const app: AppProcess = await this.#app.start(port);
    this.#ends.push(() => app.stop());
    if (this.#settings === null) return { port, stop: () => app.stop() };
    const sidecar = new Sidecar(port, this.#settings);
    await sidecar.start();
    this.#ends.push(() => sidecar.kill());
    return {
      port: sidecar.port,
      stop: async () => {
        await sidecar.stop();
        await app.stop();
      },
    };
  }

  async close(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }
}

/** What happens to the page while it is looked at. */
type Fault = (proxy: FaultProxy, pod: Pod, pods: Pods) => Promise<void>;

const swallowAndCut: Fault = async (proxy) => {
  for (let i = 0; i < cuts; i++) {
    await sleep(WELL);
    proxy.silence();
    await sleep(SWALLOWS);
    proxy.cut("rst");
    proxy.heal();
  }
};

const rollOut: Fault = async (proxy, pod, pods) => {
  await sleep(WELL);
  const next = await pods.start();
  proxy.target = next.port;
  await pod.stop();
};

async function run(app: StockApp, aided: boolean, fault: Fault): Promise<Outcome> {
  const pods = await Pods.of(app, aided);
  const browser = await startBrowser();
  const judge = new Judge();
  let looking = true;
  try {
    const pod = await pods.start();
    const proxy = new FaultProxy(pod.port);
    await proxy.start();
    const page = await browser.newPage();
    await app.visit(page, `http://127.0.0.1:${proxy.port}`);
    const look = async () => judge.take(await app.seen(page).catch(() => [])); // it may be loading anew
    await until(() => look().then(() => judge.last > 0), `${app.name}: the page shows a number`, 60_000);
    const looks = (async () => {
      for (; looking; await sleep(LOOK)) await look();
    })();
    await fault(proxy, pod, pods);
    const before = judge.last;
    const goesOn = await until(() => judge.last > before + 5, "", PATIENCE).then(
      () => true,
      () => false,
    );
    await sleep(2 * LOOK);
    looking = false;
    await looks;
    await proxy.close();
    return judge.outcome(goesOn);
  } finally {
    looking = false;
    await browser.close();
    await pods.close();
  }
}

const text = (o: Outcome): string =>
  `${o.lost} lost${o.doubled ? `, ${o.doubled} doubled` : ""}${o.swapped ? `, ${o.swapped} swapped` : ""} of ${o.seen + o.lost}${o.goesOn ? "" : ", then nothing"}`;

const rows: string[] = [];
let failed = false;
for (const app of chosen) {
  const missing = [];
  for (const command of app.debian ?? []) if (!(await has(command))) missing.push(command);
  const faults: [string, Fault][] = [[`${cuts} cuts`, swallowAndCut]];
  if (app.noRollout === undefined) faults.push(["roll-out", rollOut]);
  for (const [what, fault] of faults) {
    const cells = [];
    for (const aided of [false, true]) {
      console.error(`${app.name}: ${what}, ${aided ? "with" : "without"} the sidecar`);
      try {
        const outcome = await run(app, aided, fault);
        cells.push(text(outcome));
        if (aided && (outcome.lost || outcome.doubled || outcome.swapped || !outcome.goesOn)) failed = true;
      } catch (error) {
        cells.push(`failed: ${(error as Error).message.split("\n")[0]}`);
        failed = true;
      }
      console.error(`  ${cells.at(-1)}`);
    }
    rows.push(`| ${app.name} | ${what} | ${cells.join(" | ")} |`);
  }
}
console.log(["| app | fault | without | with the sidecar |", "|---|---|---|---|", ...rows].join("\n"));
process.exit(failed ? 1 : 0);
