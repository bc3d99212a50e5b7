// Drop-in conformance in a browser: the same table for its WebSocket, which shows that the table is right, and
// for ours; each before the app itself and before a sidecar.
import { after, before, describe, test } from "node:test";
import { freePort } from "../rig/port.ts";
import { openPage, type Rig, type Site, startBrowser, startRig, startSite } from "../rig.ts";
import { TableApp } from "./app.ts";
import { judge } from "./judge.ts";
import type { Globals } from "./page.ts";

/** Shared buffers are there in isolated pages only. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** The table as a global function; the package has no side effects of its own. */
const PAGE = `import { table } from "./test/conformance/page.ts"; Object.assign(globalThis, { table });`;

const app = new TableApp();
let nowhere = "";

before(async () => {
  nowhere = `ws://127.0.0.1:${await freePort()}/`;
});

for (const sidecar of [false, true]) {
  describe(sidecar ? "through a sidecar" : "to the app itself", () => {
    let rig: Rig;
    let site: Site;
    let browser: Awaited<ReturnType<typeof startBrowser>>;
    before(async () => {
      rig = await startRig({ app: { attach: (server) => app.attach(server) }, sidecar });
      site = await startSite({ source: PAGE, headers: ISOLATED });
      browser = await startBrowser();
    });
    after(async () => {
      await browser.close();
      await site.close();
      await rig.close();
    });

    for (const native of [true, false]) {
      test(native ? "the browser's WebSocket" : "ours in the browser", async (t) => {
        const page = await openPage(browser, site);
        await page.exposeFunction("ended", (url: string) => app.ended(url));
        const outcomes = await page.evaluate(
          ([isNative, base, where]) =>
            (globalThis as typeof globalThis & Globals).table(isNative, base, where),
          [native, rig.url, nowhere] as const,
        );
        await judge(t, outcomes);
      });
    }
  });
}
