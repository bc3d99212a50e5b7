// Pages that are hidden, frozen, left and come back to, and machines that sleep.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Browser } from "playwright-core";
import { type Rig, sleep, until } from "../rig.ts";
import { SLOW, stage, type Tab } from "./stage.ts";

/** More than what was measured to leave a server and never reach a frozen page: 4 MB. */
const FLOOD = Array.from({ length: 400 }, (_, i) => `${i}`.padEnd(20_000, "."));

/** Opens another tab before a page. */
async function hide(page: Tab, tab: () => Promise<Tab>): Promise<void> {
  await (await tab()).page.bringToFront();
  await until(() => page.page.evaluate(() => document.hidden), "the page is hidden");
}

test("a page that was frozen has missed nothing of a flood", () =>
  stage({ environment: { WSR_WINDOW_BYTES: "16MiB" } }, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url);
    await hide(page, tab); // a page that is seen is not frozen
    await page.cdp.send("Page.setWebLifecycleState", { state: "frozen" });
    for (const text of FLOOD) rig.app.socket.send(text);
    await sleep(1_000); // the page has to be frozen for a while; nothing tells that the flood has reached it
    await page.cdp.send("Page.setWebLifecycleState", { state: "active" });
    await page.saw("resumed");
    await page.has(...FLOOD);
    await page.send("still here");
    await until(() => rig.app.received.length === 1, "it arrives");
    assert.deepEqual(
      (await page.pageEvents()).filter((e) => e === "freeze" || e === "resume"),
      ["freeze", "resume"],
    );
    assert.equal((await page.events()).includes("close"), false);
    assert.equal(rig.app.sockets.length, 1);
  }));

test("a page that comes back from the back-forward cache has missed nothing", () =>
  stage({}, async ({ rig, tab, site }) => {
    const page = await tab();
    await page.connect(rig.url);
    await page.page.goto(`${site.origin}/elsewhere`);
    rig.app.socket.send("missed");
    await page.page.goBack({ waitUntil: "commit" });
    assert.deepEqual(
      (await page.pageEvents()).filter((name) => name.startsWith("page")).slice(-2),
      ["pagehide true", "pageshow true"],
      "it really was in the cache",
    );
    await page.saw("resumed");
    await page.has("missed");
    await page.send("back");
    await until(() => rig.app.received.length === 1, "it arrives");
    assert.equal((await page.events()).includes("close"), false);
    assert.equal(rig.app.sockets.length, 1);
  }));

/** Has the page restore the app's context, which comes to an end from the second time on, and the app restart. */
async function restoring(page: Tab, rig: Rig): Promise<void> {
  await page.page.evaluate((url) => {
    let times = 0;
    startRecording(url, {
      adopt: async (_event, send) => {
        const time = ++times;
        send(`hello ${time}`);
        if (time === 1) await new Promise(() => {}); // for a ticket, say
        send(`login ${time}`);
      },
    });
  }, rig.url);
  await page.is("connected");
  await rig.app.stop();
  await page.send("order");
  await rig.app.start();
  await until(() => rig.app.socket.received.length > 0, "the restore has begun");
}

/** What the app hears: the restore begins again, and what waits comes behind it. */
async function restored({ app }: Rig): Promise<void> {
  await until(() => app.socket.received.includes("order"), "what waited arrives");
  assert.deepEqual(app.socket.received, ["hello 1", "hello 2", "login 2", "order"]);
}

test("a page that was in the back-forward cache in the middle of a restore begins it again", () =>
  stage({}, async ({ rig, tab, site }) => {
    const page = await tab();
    await restoring(page, rig);
    await page.page.goto(`${site.origin}/elsewhere`);
    await page.page.goBack({ waitUntil: "commit" });
    assert.equal((await page.pageEvents()).at(-1), "pageshow true", "it really was in the cache");
    await restored(rig);
  }));

test("a page that was frozen in the middle of a restore begins it again", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await restoring(page, rig);
    await hide(page, tab);
    await page.cdp.send("Page.setWebLifecycleState", { state: "frozen" });
    await sleep(200);
    await page.cdp.send("Page.setWebLifecycleState", { state: "active" });
    await restored(rig);
  }));

test("a page that goes for good says so to the app, as any WebSocket does", () =>
  stage(SLOW, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url);
    await page.page.close({ runBeforeUnload: true });
    await until(() => rig.app.socket.closed, "the app is told");
    assert.equal(rig.app.socket.closed!.code, 1001);
  }));

test("a hidden page stays connected, acknowledges and resumes", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url);
    await hide(page, tab);
    rig.app.socket.send("one");
    await page.has("one");
    rig.proxy.cut();
    rig.app.socket.send("two");
    await page.has("one", "two");
    rig.proxy.cut("half-server");
    rig.app.socket.send("three");
    await page.has("one", "two", "three");
    await page.send("from behind");
    await until(() => rig.app.received.length === 1, "it arrives");
    assert.equal((await page.events()).includes("close"), false);
  }));

/** Processes of a browser that run pages. */
async function renderers(browser: Browser): Promise<number[]> {
  const cdp = await browser.newBrowserCDPSession();
  const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
  return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
}

test("a page that stood still judges nobody by its own silence, and catches up", () =>
  stage({}, async ({ rig, tab, browser }) => {
    const page = await tab();
    await page.connect(rig.url);
    await page.send("before");
    await until(() => rig.app.received.length === 1, "it arrives");
    const pids = await renderers(browser);
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    try {
      rig.app.socket.send("missed");
      await sleep(4_000); // longer than the sidecar waits for answers to its heartbeats
    } finally {
      for (const pid of pids) process.kill(pid, "SIGCONT");
    }
    await page.has("missed");
    await page.send("after");
    await until(() => rig.app.received.length === 2, "it arrives");
    assert.equal((await page.events()).includes("close"), false);
    assert.equal(rig.app.sockets.length, 1);
  }));

test("after a sleep of the machine the first message finds out about a dead connection", () =>
  stage(SLOW, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url);
    rig.proxy.cut("half-server");
    await page.page.evaluate(() => {
      const { now } = Date;
      Date.now = () => now() + 3_600_000; // the wall clock went on while the others stood
    });
    await page.send("good morning");
    await until(() => rig.app.received.length === 1, "it arrives", 10_000);
    assert.deepEqual(await page.events(), ["open", "resumed"]);
  }));
