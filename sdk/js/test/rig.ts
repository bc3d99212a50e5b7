import { App, type AppOptions, echo } from "./rig/app.ts";
import { Journal } from "./rig/journal.ts";
import { FaultProxy } from "./rig/proxy.ts";
import { Sidecar, tokenKey } from "./rig/sidecar.ts";

export { App, type AppOptions, AppSocket, echo } from "./rig/app.ts";
export { startBrowser, startUnaidedBrowser } from "./rig/browser.ts";
export { openPage, Site, type SiteOptions, startSite } from "./rig/page.ts";
export { type Cut, type Direction, FaultProxy } from "./rig/proxy.ts";
export { Sidecar } from "./rig/sidecar.ts";
export { DEADLINE, event, sleep, until } from "./rig/until.ts";

export interface RigOptions {
  /** What the app does. Default: it echoes. */
  app?: AppOptions;
  /** Settings of the sidecars beyond the quick ones of the tests. */
  environment?: Record<string, string>;
  /** How many sidecars there are, with one journal and one app. Default: 1, with a journal of its own. */
  pods?: number;
  /** False: the fault proxy leads to the app itself. Default: true. */
  sidecar?: boolean;
}

/** Everything between a client and an app, each part a real one. */
export interface Rig {
  /** The address for clients: that of the fault proxy. */
  readonly url: string;
  readonly proxy: FaultProxy;
  /** The first sidecar, where the fault proxy leads at first. */
  readonly sidecar: Sidecar;
  readonly sidecars: readonly Sidecar[];
  readonly app: App;
  /** Has something done before the rig is closed. */
  atClose(end: () => unknown): void;
  close(): Promise<void>;
}

/** The settings of sidecars that share a journal. */
const shared = (journal: Journal): Record<string, string> => ({
  WSR_NATS_URL: journal.url,
  WSR_NATS_REPLICAS: "1",
  WSR_LEASE_TTL: "2s",
  WSR_TOKEN_KEYS: tokenKey(),
});

/** Starts an app, the sidecars and the fault proxy. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const { pods = 1, environment = {} } = options;
  const app = new App(options.app ?? echo);
  await app.start();
  const journal = pods > 1 ? new Journal() : null;
  await journal?.start();
  const settings = { ...(journal ? shared(journal) : {}), ...environment };
  const sidecars = Array.from({ length: pods }, () => new Sidecar(app.port, settings));
  const running = options.sidecar === false ? [] : sidecars;
  await Promise.all(running.map((sidecar) => sidecar.start()));
  const proxy = new FaultProxy(running[0]?.port ?? app.port);
  await proxy.start();
  const ends: (() => unknown)[] = [];
  return {
    url: `ws://127.0.0.1:${proxy.port}/`,
    proxy,
    sidecar: sidecars[0]!,
    sidecars,
    app,
    atClose: (end) => void ends.push(end),
    close: async () => {
      proxy.heal();
      await proxy.down(false);
      await Promise.all(ends.map((end) => end()));
      await proxy.close();
      await Promise.all(running.map((sidecar) => sidecar.kill()));
      await app.stop();
      await journal?.stop();
    },
  };
}
