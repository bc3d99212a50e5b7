import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import {
  type AppOptions,
  type Cut,
  openPage,
  type Rig,
  startBrowser,
  startRig,
  startSite,
  until,
} from "../rig.ts";

/** How the network is cut, one after the other. */
const CUTS: readonly Cut[] = [
  "rst",
  "fin",
  "half-client",
  "rst",
  "half-server",
  "fin",
  "rst",
  "half-client",
  "fin",
  "rst",
];
/** Numbers that each side says per cut: before, and while the page is away. */
const SOME = 5;

/** A library in a page, as the test sees it. */
export interface Subject {
  /** Numbers that the library brought from the app. */
  readonly seen: number[];
  /** How often the library noticed that its connection was gone. */
  lost: number;
  ready: boolean;
  /** Lets the library tell the app a number. */
  say(n: number): void;
}

/** The app's side of a library. */
export interface Server {
  readonly app: AppOptions;
  /** Numbers that the library told. */
  readonly seen: number[];
  /** Tells a number to the library in the page. */
  say(n: number): void;
  close?(): unknown;
}

declare global {
  var subject: Subject;
}

async function both(page: Page, server: Server, from: number): Promise<void> {
  for (let n = from; n < from + SOME; n++) server.say(n);
  await page.evaluate(
    ([first, end]) => {
      for (let n = first!; n < end!; n++) subject.say(n);
    },
    [from, from + SOME],
  );
}

/** Cuts the network again and again; returns how many numbers each side has said. */
async function cutOften(rig: Rig, page: Page, server: Server): Promise<number> {
  let said = 0;
  for (const cut of CUTS) {
    const { accepted } = rig.proxy;
    await both(page, server, said + 1);
    rig.proxy.cut(cut);
    await both(page, server, said + SOME + 1);
    said += 2 * SOME;
    await until(() => rig.proxy.accepted > accepted && rig.proxy.connections > 0, "another connection");
  }
  return said;
}

/**
 * Runs a library in a page through cuts while both sides talk. It must not notice, and nothing may be missing
 * or come twice. `example` is its file among the examples, `start` runs in the page with what that exports.
 */
export async function through(example: string, server: Server, start: (url: string) => void): Promise<void> {
  const rig = await startRig({ app: server.app });
  const source = `import * as example from "./examples/${example}"; Object.assign(globalThis, example);`;
  const site = await startSite({ source });
  const browser = await startBrowser();
  try {
    const page = await openPage(browser, site);
    await page.evaluate(start, rig.url.replace(/\/$/, ""));
    await until(() => page.evaluate(() => subject.ready), `${example} is ready`);
    const said = await cutOften(rig, page, server);
    const look = () => page.evaluate(() => ({ seen: subject.seen, lost: subject.lost }));
    await until(async () => (await look()).seen.length >= said && server.seen.length >= said, "all numbers");
    const all = Array.from({ length: said }, (_, i) => i + 1);
    assert.deepEqual(await look(), { seen: all, lost: 0 });
    assert.deepEqual(server.seen, all);
  } finally {
    await browser.close();
    await site.close();
    await server.close?.();
    await rig.close();
  }
}
