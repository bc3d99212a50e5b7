import assert from "node:assert/strict";
import type { Browser, CDPSession, Page } from "playwright-core";
import type { State } from "../../src/index.ts";
import {
  openPage,
  type Rig,
  type RigOptions,
  type Site,
  startRig,
  startSite,
  startUnaidedBrowser,
  until,
} from "../rig.ts";
import type { PageOptions } from "./record.ts";

/** A page with a socket, and the test's view of it. */
export class Tab {
  readonly page: Page;
  readonly cdp: CDPSession;

  constructor(page: Page, cdp: CDPSession) {
    this.page = page;
    this.cdp = cdp;
  }

  /** Opens the socket, and returns when it is open. */
  async connect(url: string, options: PageOptions = {}): Promise<void> {
    await this.page.evaluate(([u, o]) => void startRecording(u, o), [url, options] as const);
    await this.is("connected");
  }

  state = (): Promise<State> => this.page.evaluate(() => recording.socket.state);
  received = (): Promise<string[]> => this.page.evaluate(() => recording.received);
  events = (): Promise<string[]> => this.page.evaluate(() => recording.events);
  dials = (): Promise<number> => this.page.evaluate(() => recording.dials);
  pageEvents = (): Promise<string[]> => this.page.evaluate(() => pageEvents);

  send(...messages: string[]): Promise<void> {
    return this.page.evaluate((all) => {
      for (const message of all) recording.socket.send(message);
    }, messages);
  }

  async is(state: State): Promise<void> {
    await until(async () => (await this.state()) === state, `the socket is ${state}`);
  }

  /** Waits until an event was seen so many times. */
  async saw(name: string, times = 1): Promise<void> {
    const count = async () => (await this.events()).filter((event) => event === name).length >= times;
    await until(count, `${name}, ${times} times`);
  }

  /** Waits until exactly these messages have come. */
  async has(...messages: string[]): Promise<void> {
    await until(async () => (await this.received()).length >= messages.length, `${messages.length} messages`);
    assert.deepEqual(await this.received(), messages);
  }
}

export interface Stage {
  readonly rig: Rig;
  readonly browser: Browser;
  readonly site: Site;
  /** Opens a tab. */
  tab(): Promise<Tab>;
}

/** Heartbeats so slow that a test which waits for one fails: other signs must do. */
export const SLOW: RigOptions = {
  environment: { WSR_HEARTBEAT_BASE: "20s", WSR_HEARTBEAT_MIN: "20s", WSR_HEARTBEAT_MAX: "40s" },
};

/** Runs a test with a browser, a site and a rig. */
export async function stage(options: RigOptions, body: (stage: Stage) => Promise<void>): Promise<void> {
  const rig = await startRig({ app: {}, ...options });
  const site = await startSite({ source: `import "./test/browser/record.ts";` });
  const { browser, close } = await startUnaidedBrowser();
  const tab = async () => {
    const page = await openPage(browser, site);
    return new Tab(page, await page.context().newCDPSession(page));
  };
  try {
    await body({ rig, browser, site, tab });
  } finally {
    await close();
    await site.close();
    await rig.close();
  }
}
