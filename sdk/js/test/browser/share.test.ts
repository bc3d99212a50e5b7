// Tabs that share one connection, and whose leader is killed, frozen, reloaded, closed and left.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Rig, Sidecar, sleep, until } from "../rig.ts";
import { type Stage, stage, type Tab } from "./stage.ts";

const SHARED = { sharedAs: "chat" };

/** Opens tabs, one after the other. The first leads. */
async function open({ rig, tab }: Stage, count: number): Promise<Tab[]> {
  const tabs: Tab[] = [];
  for (let i = 0; i < count; i++) {
    const page = await tab();
    await page.connect(rig.url, SHARED);
    tabs.push(page);
  }
  return tabs;
}

/** Returns the tab that has the connection. */
async function leader(tabs: readonly Tab[]): Promise<Tab> {
  let found: Tab | undefined;
  await until(async () => {
    for (const tab of tabs) if ((await tab.dials()) > 0) found = tab;
    return found;
  }, "one of them dials");
  return found!;
}

/** The app counts, and each tab too, all the time. */
class Traffic {
  said = 0;
  readonly #rig: Rig;
  readonly #timer: NodeJS.Timeout;

  constructor(rig: Rig) {
    this.#rig = rig;
    this.#timer = setInterval(() => rig.app.socket.send(`${this.said++}`), 2);
  }

  static async start(rig: Rig, tabs: readonly Tab[]): Promise<Traffic> {
    for (const [i, { page }] of tabs.entries()) {
      await page.evaluate((name) => {
        let next = 0;
        Object.assign(globalThis, {
          counted: () => next,
          counter: setInterval(() => recording.socket.send(`${name} ${next++}`), 5),
        });
      }, `tab${i}`);
    }
    return new Traffic(rig);
  }

  /** Ends it in the tabs that are left, and compares. */
  async compare(left: ReadonlyMap<number, Tab>): Promise<void> {
    clearInterval(this.#timer);
    const { app } = this.#rig;
    for (const [i, tab] of left) {
      const counted = await tab.page.evaluate(() => {
        const { counter, counted } = globalThis as unknown as { counter: number; counted(): number };
        clearInterval(counter);
        return counted();
      });
      const own = () => app.received.filter((text) => `${text}`.startsWith(`tab${i} `));
      await until(
        () => own().length >= counted,
        () => `all of tab ${i}: ${own().length} of ${counted}`,
      );
      assert.deepEqual(
        own(),
        Array.from({ length: counted }, (_, n) => `tab${i} ${n}`),
      );
      await until(async () => (await tab.received()).length >= this.said, `tab ${i} has all ${this.said}`);
      assert.deepEqual(
        await tab.received(),
        Array.from({ length: this.said }, (_, n) => `${n}`),
        `tab ${i}`,
      );
      const events = (await tab.events()).filter((name) => name !== "resumed");
      assert.deepEqual(events, ["open"]);
    }
    assert.equal(app.sockets.length, 1, "one session");
    assert.equal(app.socket.closed, null);
  }
}

test("five tabs have one connection, and miss nothing when its tab is killed, frozen and reloaded", () =>
  stage({}, async (s) => {
    const tabs = await open(s, 5);
    assert.deepEqual(await Promise.all(tabs.map((tab) => tab.dials())), [1, 0, 0, 0, 0]);
    assert.equal(s.rig.app.sockets.length, 1);
    assert.equal(s.rig.proxy.connections, 1);
    const traffic = await Traffic.start(s.rig, tabs);
    const left = new Map(tabs.entries());
    await sleep(300);

    const crashed = tabs[0]!.page.waitForEvent("crash");
    tabs[0]!.cdp.send("Page.crash").catch(() => {});
    await crashed;
    left.delete(0);
    const second = await leader([...left.values()]);
    await second.saw("resumed");
    await sleep(200);

    await second.cdp.send("Page.setWebLifecycleState", { state: "frozen" });
    const others = [...left.values()].filter((tab) => tab !== second);
    const third = await leader(others);
    await third.saw("resumed");
    await sleep(200);
    await second.cdp.send("Page.setWebLifecycleState", { state: "active" });
    await sleep(200);

    left.delete(tabs.indexOf(third));
    const asleep = tabs.filter((tab) => left.has(tabs.indexOf(tab)) && tab !== second);
    await third.page.reload();
    await leader(asleep);
    await sleep(200);
    await traffic.compare(left);
  }));

/** Has a tab stand still for a while: neither timers nor messages. */
function standStill({ page }: Tab, ms: number): Promise<void> {
  return page.evaluate((ms) => {
    for (const until = Date.now() + ms; Date.now() < until; );
  }, ms);
}

test("a leader that stands still is replaced, and goes on as one of the others", () =>
  stage({}, async (s) => {
    const tabs = await open(s, 3);
    const traffic = await Traffic.start(s.rig, tabs);
    const stands = standStill(tabs[0]!, 8_000);
    await leader(tabs.slice(1));
    await stands;
    await traffic.compare(new Map(tabs.entries()));
  }));

test("tabs come, speak, go into the cache and close, each by itself", () =>
  stage({}, async (s) => {
    const { rig, site } = s;
    const tabs = await open(s, 3);
    const [first, second, third] = tabs as [Tab, Tab, Tab];
    rig.app.socket.send("hello");
    for (const tab of tabs) await tab.has("hello");
    // What a tab sends keeps its order, whatever it is, and its promises resolve.
    await second.page.evaluate(async () => {
      const { socket } = recording;
      socket.send(new Blob(["blob"]));
      socket.send("text");
      await socket.deliver(Uint8Array.of(1, 2, 3));
      if (socket.unacknowledged || socket.bufferedAmount) throw new Error("more is unacknowledged");
    });
    assert.deepEqual(
      rig.app.received.map((data) => `${data}`),
      ["blob", "text", "\u0001\u0002\u0003"],
    );
    // The connection breaks.
    rig.proxy.cut();
    await third.send("through a cut");
    rig.app.socket.send("missed by nobody");
    for (const tab of tabs) await tab.has("hello", "missed by nobody");
    for (const tab of tabs) await tab.saw("resumed");
    // A tab is away, and comes back to what it has missed.
    await third.page.goto(`${site.origin}/elsewhere`);
    rig.app.socket.send("meanwhile");
    await second.has("hello", "missed by nobody", "meanwhile");
    await third.page.goBack({ waitUntil: "commit" });
    await third.has("hello", "missed by nobody", "meanwhile");
    assert.equal((await third.pageEvents()).at(-1), "pageshow true", "it really was in the cache");
    // A late one hears what comes from then on.
    const late = await s.tab();
    await late.connect(rig.url, SHARED);
    rig.app.socket.send("late");
    await late.has("late");
    // The leader closes its socket, and the others do not notice.
    const closed = ({ page }: Tab) =>
      page.evaluate(
        () =>
          new Promise<unknown>((resolve) => {
            recording.socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
            recording.socket.close(4001, "enough");
          }),
      );
    const bye = { code: 4001, reason: "enough", wasClean: true };
    assert.deepEqual(await closed(first), bye);
    await second.send("still here");
    await until(() => rig.app.received.includes("still here"), "it arrives");
    assert.equal(rig.app.socket.closed, null);
    assert.deepEqual(await closed(third), bye);
    assert.deepEqual(await closed(second), bye);
    assert.equal(rig.app.socket.closed, null);
    // The last one ends the session.
    assert.deepEqual(await closed(late), bye);
    await until(() => rig.app.socket.closed, "the app is told");
    assert.deepEqual(rig.app.socket.closed, { code: 4001, reason: "enough" });
    assert.equal(rig.app.sockets.length, 1);
    // The same name can begin anew, and the app's close reaches all.
    const again = [await s.tab(), await s.tab()];
    for (const tab of again) await tab.connect(rig.url, SHARED);
    assert.equal(rig.app.sockets.length, 2);
    rig.app.socket.ws.close(4002, "over");
    for (const tab of again) {
      await tab.is("closed");
      assert.deepEqual(await tab.events(), ["open", "close"]);
    }
  }));

test("a fresh app socket is restored by the leader, and after its death by the next one", () =>
  stage({}, async (s) => {
    const { rig } = s;
    const tabs = [await s.tab(), await s.tab(), await s.tab()];
    for (const [i, { page }] of tabs.entries()) {
      await page.evaluate(
        ([url, i]) => {
          startRecording(url, {
            sharedAs: "chat",
            adopt: async (_event, send) => {
              send(`hello of tab ${i}`);
              if (!i) await new Promise(() => {}); // for a ticket that never comes
              send(`login of tab ${i}`);
            },
          });
        },
        [rig.url, i] as const,
      );
      await tabs[i]!.is("connected");
    }
    await rig.app.stop();
    await tabs[2]!.send("order");
    await rig.app.start();
    await until(() => rig.app.socket.received.length > 0, "the restore has begun");
    await tabs[1]!.send("another");
    const crashed = tabs[0]!.page.waitForEvent("crash");
    tabs[0]!.cdp.send("Page.crash").catch(() => {});
    await crashed;
    await until(() => rig.app.socket.received.includes("another"), "what waited arrives");
    assert.deepEqual(rig.app.socket.received, [
      "hello of tab 0",
      "hello of tab 1",
      "login of tab 1",
      "order",
      "another",
    ]);
    assert.deepEqual([...new Set(await tabs[2]!.events())], ["open", "adopted"]);
  }));

test("when the session is lost each tab gets back what it had sent, also from a leader that is new", () =>
  stage({}, async (s) => {
    const { rig } = s;
    const tabs = await open(s, 3);
    await rig.proxy.down(true);
    rig.proxy.cut();
    for (const tab of tabs) await tab.is("reconnecting");
    for (const [i, tab] of tabs.entries()) await tab.send(`lost ${i}`);
    const crashed = tabs[0]!.page.waitForEvent("crash");
    tabs[0]!.cdp.send("Page.crash").catch(() => {});
    await crashed;
    const told = tabs.slice(1).map(({ page }) =>
      page.evaluate(
        () =>
          new Promise<unknown>((resolve) => {
            recording.socket.onreset = ({ reason, unacknowledged }) => {
              const left = unacknowledged.map(({ data }) => data);
              recording.socket.onclose = ({ code }) => resolve([reason, ...left, code]);
            };
          }),
      ),
    );
    await rig.sidecar.kill();
    const forgetful = new Sidecar(rig.app.port, {});
    await forgetful.start();
    try {
      rig.proxy.target = forgetful.port;
      await rig.proxy.down(false);
      assert.deepEqual(await Promise.all(told), [
        ["token", "lost 1", 4410],
        ["token", "lost 2", 4410],
      ]);
    } finally {
      await forgetful.kill();
    }
  }));

test("without a sidecar tabs share an ordinary connection, which ends with its tab", () =>
  stage({ sidecar: false }, async (s) => {
    const tabs = await open(s, 3);
    const { app } = s.rig;
    const used = app.sockets.at(-1)!;
    for (const [i, tab] of tabs.entries()) await tab.send(`from ${i}`);
    await until(() => used.received.length === 3, "all arrive there");
    used.send("for all");
    for (const tab of tabs) await tab.has("for all");
    await tabs[0]!.page.close({ runBeforeUnload: true });
    for (const tab of tabs.slice(1)) {
      await tab.is("closed");
      assert.deepEqual(await tab.events(), ["open", "error", "close"]);
    }
  }));
