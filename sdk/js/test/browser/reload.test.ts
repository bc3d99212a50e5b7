// Sessions that outlive their page: reloads, crashes, several tabs, and sessions that are gone by then.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Sidecar, until } from "../rig.ts";
import { Place } from "./place.ts";
import type { PageOptions } from "./record.ts";
import { type Stage, stage, type Tab } from "./stage.ts";

const PERSIST = { keptAs: "chat" };

async function reload({ page }: Tab): Promise<void> {
  await page.reload();
  await page.waitForFunction("globalThis.ready");
}

async function crash({ page }: Tab): Promise<void> {
  const crashed = page.waitForEvent("crash");
  page.goto("chrome://crash").catch(() => {});
  await crashed;
}

/** A tab that has heard the app, has told it something, and then loses the network, in which it says more. */
async function cutOff({ rig, tab }: Stage): Promise<Tab> {
  const page = await tab();
  await page.connect(rig.url, PERSIST);
  rig.app.socket.send("hello");
  await page.has("hello");
  await page.send("before");
  await until(() => rig.app.received.length === 1, "it arrives");
  await until(
    () => page.page.evaluate(() => recording.socket.unacknowledged === 0),
    "the page knows that it arrived",
  );
  await rig.proxy.down(true);
  rig.proxy.cut();
  await page.is("reconnecting");
  await page.send("cut off 1", "cut off 2", "cut off 3");
  return page;
}

const SAID = ["before", "cut off 1", "cut off 2", "cut off 3", "after"];

/** What must have happened when the next life of the page is connected. */
async function goesOn({ rig }: Stage, next: Tab): Promise<void> {
  await next.has("meanwhile 1", "meanwhile 2");
  await next.send("after");
  await until(() => rig.app.received.length >= SAID.length, "all arrives");
  rig.app.socket.send("still there?");
  await next.has("meanwhile 1", "meanwhile 2", "still there?");
  assert.deepEqual(rig.app.received, SAID);
  assert.equal(rig.app.sockets.length, 1, "one session");
  assert.equal(rig.app.socket.closed, null);
  assert.deepEqual(await next.events(), ["open", "resumed"]);
}

test("what was sent while cut off arrives once after a reload, and what the app said meanwhile", () =>
  stage({}, async (s) => {
    const page = await cutOff(s);
    s.rig.app.socket.send("meanwhile 1");
    await reload(page);
    s.rig.app.socket.send("meanwhile 2");
    await s.rig.proxy.down(false);
    await page.connect(s.rig.url, PERSIST);
    await goesOn(s, page);
  }));

test("the same after a crash of the tab, in the next one", () =>
  stage({}, async (s) => {
    const page = await cutOff(s);
    s.rig.app.socket.send("meanwhile 1");
    await crash(page);
    s.rig.app.socket.send("meanwhile 2");
    await s.rig.proxy.down(false);
    const next = await s.tab();
    await next.connect(s.rig.url, PERSIST);
    await goesOn(s, next);
  }));

test("a page that sends all the time and is reloaded again and again sends each number once", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    for (let life = 1; life <= 10; life++) {
      await page.connect(rig.url, PERSIST);
      await page.page.evaluate(() => {
        setInterval(() => {
          for (let burst = 0; burst < 3; burst++) {
            const next = Number(localStorage.getItem("next") ?? 0);
            recording.socket.send(`${next}`);
            localStorage.setItem("next", `${next + 1}`);
          }
        }, 1);
      });
      const some = rig.app.received.length + 30;
      await until(() => rig.app.received.length >= some, `life ${life}: more arrives`);
      await reload(page);
    }
    await page.connect(rig.url, PERSIST);
    const count = await page.page.evaluate(() => Number(localStorage.getItem("next")));
    await until(() => rig.app.received.length >= count, `all ${count} arrive`);
    assert.deepEqual(
      rig.app.received,
      Array.from({ length: count }, (_, i) => `${i}`),
    );
    assert.equal(rig.app.sockets.length, 1);
  }));

test("a page that hears and never says anything acknowledges only what is on disk, and misses nothing", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    const heard = async () =>
      (await page.page.evaluate(() => localStorage.getItem("heard") ?? "")).split(",");
    const lives = 5;
    let said = 0;
    for (let life = 0; life < lives; life++) {
      await page.page.evaluate(
        async ([url, options]) => {
          const { socket } = startRecording(url, options);
          socket.onmessage = ({ data }) => {
            const before = localStorage.getItem("heard");
            localStorage.setItem("heard", before === null ? data : `${before},${data}`);
          };
        },
        [rig.url, PERSIST] as const,
      );
      await page.is("connected");
      for (let i = 0; i < 200; i++) rig.app.socket.send(`${said++}`);
      await until(async () => (await heard()).includes(`${life * 200 + 50}`), `life ${life}: some arrive`);
      if (life < lives - 1) await reload(page);
    }
    await until(async () => (await heard()).includes(`${said - 1}`), "the last arrives");
    // A page that goes has handled messages that it cannot have noted: those come twice, and none is missing.
    assert.deepEqual(
      [...new Set(await heard())],
      Array.from({ length: said }, (_, i) => `${i}`),
    );
    assert.equal(rig.app.sockets.length, 1);
  }));

test("two tabs with one name have a session each, and go on with their own", () =>
  stage({}, async ({ rig, tab }) => {
    const tabs = [await tab(), await tab()] as const;
    for (const page of tabs) await page.connect(rig.url, PERSIST);
    assert.equal(rig.app.sockets.length, 2);
    const [first, second] = rig.app.sockets as [typeof rig.app.socket, typeof rig.app.socket];
    for (let round = 0; round < 3; round++) {
      await tabs[0].send(`a${round}`);
      await tabs[1].send(`b${round}`);
      await until(() => first.received.length + second.received.length === 2 * round + 2, "both arrive");
      rig.proxy.cut();
      await tabs[1].saw("resumed");
      await reload(tabs[1]);
      await tabs[1].connect(rig.url, PERSIST);
      await tabs[1].saw("resumed");
    }
    assert.deepEqual(first.received, ["a0", "a1", "a2"]);
    assert.deepEqual(second.received, ["b0", "b1", "b2"]);
    assert.equal(rig.app.sockets.length, 2);
    assert.deepEqual([...new Set(await tabs[0].events())], ["open", "resumed"], "nobody took its session");
  }));

/** Opens the socket and waits for `reset`; returns what that said. */
async function reset({ page }: Tab, url: string, options: PageOptions = {}): Promise<object> {
  return page.evaluate(
    ([u, o]) =>
      new Promise<object>((resolve) => {
        const { socket } = startRecording(u, o);
        socket.onreset = ({ reason, unacknowledged }) => resolve({ reason, unacknowledged });
      }),
    [url, { ...PERSIST, ...options }] as const,
  );
}

/** A former life may have sent what it kept. */
const LEFT = ["cut off 1", "cut off 2", "cut off 3"].map((data) => ({ data, sent: true }));

/** After `reset` a new session begins, which is kept like the first. */
async function beginsAnew({ rig }: Stage, page: Tab): Promise<void> {
  await page.is("connected");
  await page.send("a new life");
  await until(() => rig.app.sockets[1]?.received.length, "it arrives");
  await reload(page);
  await page.connect(rig.url, PERSIST);
  await page.saw("resumed");
  assert.deepEqual(rig.app.sockets[1]!.received, ["a new life"]);
  assert.equal(rig.app.sockets.length, 2);
}

/** Sessions that are soon given up. */
const SHORT = { environment: { WSR_SESSION_TTL: "2s", WSR_SESSION_TTL_GOING_AWAY: "1s" } };

test("a session that expired is told with what was not acknowledged, and a new one begins", () =>
  stage(SHORT, async (s) => {
    const page = await cutOff(s);
    await crash(page);
    await until(() => s.rig.app.socket.closed, "the sidecar gives the session up");
    const next = await s.tab();
    await s.rig.proxy.down(false);
    assert.deepEqual(await reset(next, s.rig.url), { reason: "unknown", unacknowledged: LEFT });
    await beginsAnew(s, next);
  }));

test("a page without a network tells as soon as the session must have expired", () =>
  stage(SHORT, async (s) => {
    const page = await cutOff(s);
    await reload(page);
    const patient = { retryInitialConnect: true }; // the new session is dialled before the network is back
    assert.deepEqual(await reset(page, s.rig.url, patient), { reason: "expired", unacknowledged: LEFT });
    await s.rig.proxy.down(false);
    await beginsAnew(s, page);
  }));

test("a session that the sidecar has forgotten is told with what was not acknowledged", () =>
  stage({}, async (s) => {
    const page = await cutOff(s);
    await reload(page);
    await s.rig.sidecar.kill();
    const forgetful = new Sidecar(s.rig.app.port, {});
    await forgetful.start();
    try {
      s.rig.proxy.target = forgetful.port;
      await s.rig.proxy.down(false);
      assert.deepEqual(await reset(page, s.rig.url), { reason: "token", unacknowledged: LEFT });
      await beginsAnew(s, page);
    } finally {
      await forgetful.kill();
    }
  }));

test("a session that was closed leaves nothing", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url, PERSIST);
    await page.send("bye");
    await page.page.evaluate(() => recording.socket.close(1000, "done"));
    await page.saw("close");
    assert.deepEqual(rig.app.received, ["bye"]);
    assert.deepEqual(rig.app.socket.closed, { code: 1000, reason: "done" });
    await reload(page);
    await page.connect(rig.url, PERSIST);
    assert.deepEqual(await page.events(), ["open"]);
    assert.equal(rig.app.sockets.length, 2);
  }));

test("what the app has is deleted from the disk, though the page only speaks", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url, PERSIST);
    for (let i = 0; i < 100; i++) await page.send(`${i}`);
    await until(() => rig.app.received.length === 100, "all arrive");
    const left = () => new Place(page.page).disk();
    await until(async () => (await left()).messages === 0, "the disk is empty", 5_000);
  }));

test("without a sidecar nothing is kept", () =>
  stage({ sidecar: false }, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url, PERSIST);
    await page.send("one", "two");
    await until(() => rig.app.received.length === 2, "all arrive");
    assert.equal((await new Place(page.page).disk()).messages, 0);
    await page.page.evaluate(() => recording.socket.close());
    await page.saw("close");
  }));

test("the session goes on when the disk fails, and the page hears it", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url, PERSIST);
    await page.page.evaluate(() => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException("no more", "QuotaExceededError");
      };
    });
    await page.send("one");
    rig.app.socket.send("two");
    await page.has("two");
    await page.saw("error");
    rig.proxy.cut();
    await page.saw("resumed");
    await page.send("three");
    await until(() => rig.app.received.length === 2, "all arrive");
    assert.deepEqual(rig.app.received, ["one", "three"]);
    assert.equal((await page.events()).includes("close"), false);
  }));
