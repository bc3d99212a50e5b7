// Every failure of a first handshake in Chromium, which does not tell them apart, with and without a sidecar.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { failures, patience, Spoiler } from "../rig/spoiler.ts";
import { type AppOptions, openPage, type Rig, type Site, startBrowser, startRig, startSite } from "../rig.ts";
import type { PageOptions } from "./record.ts";

/** Echoes and, as most servers, selects no subprotocol. */
const MUTE: AppOptions = {
  protocols: () => false,
  onMessage: (socket, data) => socket.send(data),
};

declare global {
  /** The address for the next dial. */
  var nextURL: () => Promise<string>;
}

const rigs = new Map<boolean, Rig>();
let site: Site;
let browser: Browser;
let page: Page;
let spoiler: Spoiler;
before(async () => {
  for (const sidecar of [true, false]) rigs.set(sidecar, await startRig({ app: MUTE, sidecar }));
  site = await startSite({ source: `import "./test/browser/record.ts";` });
  browser = await startBrowser();
  page = await openPage(browser, site);
  await page.exposeFunction("nextURL", () => spoiler.url());
});
after(async () => {
  await browser.close();
  await site.close();
  await Promise.all([...rigs.values()].map((rig) => rig.close()));
});

/** Opens a socket, sends a message and closes. What it was, and what came back; null if it never opened. */
function tryOnce(options: PageOptions = {}): Promise<{ resilient: boolean; received: string[] } | null> {
  return page.evaluate(async (options) => {
    const { socket, received } = startRecording(() => nextURL(), options);
    const ended = new Promise((resolve) => socket.addEventListener("close", resolve));
    await Promise.race([new Promise((resolve) => socket.addEventListener("open", resolve)), ended]);
    if (socket.readyState !== 1) return null;
    const { resilient } = socket;
    const answered = new Promise((resolve) => socket.addEventListener("message", resolve));
    socket.send("hello");
    await answered;
    socket.close();
    await ended;
    return { resilient, received };
  }, options);
}

for (const failure of failures) {
  for (const times of [1, 2]) {
    for (const sidecar of [true, false]) {
      test(`${failure}, ${times} times, ${sidecar ? "a sidecar" : "no sidecar"}`, async () => {
        spoiler = new Spoiler(rigs.get(sidecar)!.proxy.port, failure, times);
        await spoiler.start();
        try {
          let found = await tryOnce(patience(failure, spoiler));
          // One that hangs takes a socket's whole time.
          while (!found && spoiler.left > 0) found = await tryOnce(patience(failure, spoiler));
          found ??= await tryOnce();
          assert.deepEqual(found, { resilient: sidecar, received: ["hello"] });
          // What one socket concluded, a later one does not.
          assert.deepEqual(await tryOnce(), { resilient: sidecar, received: ["hello"] });
        } finally {
          await spoiler.close();
        }
      });
    }
  }
}

test("when the sidecars are taken away, a page hears it long before its session's time is over", async () => {
  const rig = rigs.get(true)!;
  await page.evaluate((url) => void startRecording(url), rig.url);
  await page.waitForFunction(() => recording.socket.readyState === 1);
  rig.proxy.target = rig.app.port;
  rig.proxy.cut();
  await page.waitForFunction(() => recording.socket.readyState === 3);
  assert.deepEqual(await page.evaluate(() => recording.losses), [["no_sidecar", 0]]);
  rig.proxy.target = rig.sidecar.port;
});
