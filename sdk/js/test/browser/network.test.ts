// The network and the sidecar fail under a page in Chromium.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cut, until } from "../rig.ts";
import { SLOW, stage } from "./stage.ts";

const CUTS: readonly Cut[] = ["rst", "fin", "half-client", "half-server"];
const ROUNDS = 6;

test("nothing is missing and nothing comes twice through real cuts", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url);
    const { socket } = rig.app;
    const said: string[] = [];
    for (let i = 0; i < ROUNDS * CUTS.length; i++) {
      const texts = [`${i} before`, `${i} while away`];
      said.push(...texts);
      await page.send(texts[0]!);
      socket.send(texts[0]!);
      rig.proxy.cut(CUTS[i % CUTS.length]);
      await page.send(texts[1]!);
      socket.send(texts[1]!);
      await page.saw("resumed", i + 1);
    }
    await page.has(...said);
    await until(() => socket.received.length >= said.length, "all at the app");
    assert.deepEqual(socket.received, said);
    assert.deepEqual([...new Set(await page.events())], ["open", "resumed"]);
    assert.equal(rig.app.sockets.length, 1);
  }));

test("a killed sidecar that comes back goes on with the session", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url, { adopt: true });
    await page.send("before");
    await until(() => page.page.evaluate(() => recording.socket.unacknowledged === 0), "it is acknowledged");
    await rig.sidecar.kill();
    await page.is("reconnecting");
    await page.send("while away");
    await rig.sidecar.run();
    await page.saw("adopted");
    await until(() => rig.app.sockets[1]?.received.length === 1, "it arrives");
    assert.deepEqual(rig.app.received, ["before", "while away"]);
    assert.deepEqual(await page.events(), ["open", "adopted"]);
  }));

test("offline, nothing is dialled; online, at once", () =>
  stage({}, async ({ rig, tab, browser }) => {
    const page = await tab();
    await page.connect(rig.url.replace("127.0.0.1", "app.test"));
    const [context] = browser.contexts();
    await context!.setOffline(true);
    rig.proxy.cut();
    await page.is("reconnecting");
    rig.app.socket.send("missed");
    const dials = await page.dials();
    await assert.rejects(
      until(async () => (await page.dials()) > dials, "a dial", 2_000),
      /not within/,
    );
    await context!.setOffline(false);
    await page.has("missed");
    assert.equal(await page.dials(), dials + 1);
    assert.deepEqual(await page.events(), ["open", "resumed"]);
  }));

test("a short spell offline costs nothing where the connection outlives it", () =>
  stage(SLOW, async ({ rig, tab, browser }) => {
    const page = await tab();
    await page.connect(rig.url.replace("127.0.0.1", "app.test"));
    const [context] = browser.contexts();
    await context!.setOffline(true);
    await page.send("held");
    rig.app.socket.send("held too");
    await context!.setOffline(false);
    await page.has("held too");
    await until(() => rig.app.received.length === 1, "it arrives");
    assert.deepEqual(await page.events(), ["open"]);
    assert.equal(await page.dials(), 1);
  }));

test("when the network returns, a connection that looks alive is put to the proof", () =>
  stage(SLOW, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url);
    rig.proxy.cut("half-server");
    rig.app.socket.send("missed");
    await page.page.evaluate(() => dispatchEvent(new Event("online")));
    await page.has("missed");
    assert.deepEqual(await page.events(), ["open", "resumed"]);
  }));

test("an attempt to connect that hangs is given up for another", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url, { connectTimeout: 500 });
    await rig.proxy.down("blackhole");
    rig.proxy.cut();
    const { accepted } = rig.proxy;
    await until(() => rig.proxy.accepted >= accepted + 4, "more attempts");
    assert.ok(
      rig.proxy.swallowed <= 2,
      "those before were closed: browsers make one handshake per host at a time",
    );
    await rig.proxy.down(false);
    await page.saw("resumed");
    assert.deepEqual(await page.events(), ["open", "resumed"]);
  }));

test("an attempt that hangs does not stand in the way when the network returns", () =>
  stage({}, async ({ rig, tab }) => {
    const page = await tab();
    await page.connect(rig.url, { connectTimeout: 600_000 });
    await rig.proxy.down("blackhole");
    rig.proxy.cut();
    await until(() => rig.proxy.swallowed === 1, "an attempt hangs");
    await rig.proxy.down(false);
    const online = () => page.page.evaluate(() => dispatchEvent(new Event("online")));
    await until(async () => (await online()) && (await page.events()).includes("resumed"), "resumed");
    assert.deepEqual(await page.events(), ["open", "resumed"]);
  }));

test("two tabs have a session each", () =>
  stage({}, async ({ rig, tab }) => {
    const tabs = [await tab(), await tab()];
    for (const [i, page] of tabs.entries()) {
      await page.connect(rig.url);
      rig.app.socket.send(`to ${i}`);
    }
    const names = await Promise.all(tabs.map((t) => t.page.evaluate(() => recording.socket.sessionId)));
    assert.equal(new Set(names).size, 2);
    for (let i = 1; i <= 5; i++) {
      rig.proxy.cut();
      for (const page of tabs) await page.saw("resumed", i);
    }
    for (const [i, page] of tabs.entries()) {
      await page.has(`to ${i}`);
      await page.send(`from ${i}`);
      await until(() => rig.app.sockets[i]!.received.length === 1, "it arrives");
      assert.deepEqual(rig.app.sockets[i]!.received, [`from ${i}`]);
    }
  }));
