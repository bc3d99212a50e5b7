// Tickets that are good for one handshake, in a page in Chromium, behind a sidecar whose app restarts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AppOptions, type Rig, until } from "../rig.ts";
import { stage, type Tab } from "./stage.ts";

/** An app that takes each ticket once, and remembers the used ones when it restarts. */
function strict(): { app: AppOptions; asked: string[] } {
  const asked: string[] = [];
  const refuse: AppOptions["refuse"] = ({ url = "" }) => {
    const used = asked.includes(url);
    asked.push(url);
    return used ? 401 : 0;
  };
  return { app: { refuse }, asked };
}

/** Opens a socket whose function tells another ticket each time. */
async function connect(page: Tab, rig: Rig): Promise<void> {
  await page.page.evaluate((url) => {
    let tickets = 0;
    startRecording(() => `${url}?ticket=${++tickets}`, { adopt: true });
  }, rig.url);
  await page.is("connected");
}

test("a page whose ticket is used up is asked for another when the app restarts, and nothing is missing", async () => {
  const { app, asked } = strict();
  await stage({ app }, async ({ rig, tab }) => {
    const page = await tab();
    await connect(page, rig);
    for (let restarts = 1; restarts <= 2; restarts++) {
      await rig.app.stop();
      await page.send(`${restarts}`); // it waits for the new app
      await rig.app.start();
      await page.saw("adopted", restarts);
      await until(() => rig.app.socket.received.length > 0, "it arrives");
      assert.deepEqual(rig.app.socket.received, [`${restarts}`]);
    }
    assert.deepEqual([...new Set(asked)], ["/?ticket=1", "/?ticket=2", "/?ticket=3"]);
    // With the new handshake the session goes on, and then the app's socket is a new one.
    assert.deepEqual(await page.events(), ["open", "resumed", "adopted", "resumed", "adopted"]);
  });
});

test("a page whose new ticket is refused too is told that the session is over, and with which status", async () => {
  const { app, asked } = strict();
  await stage({ app }, async ({ rig, tab }) => {
    const page = await tab();
    await connect(page, rig);
    await rig.app.stop();
    rig.app.options.refuse = ({ url = "" }) => {
      asked.push(url);
      return 403;
    };
    await rig.app.start();
    await page.saw("close");
    assert.deepEqual(await page.page.evaluate(() => recording.losses), [["unauthorised", 403]]);
    assert.deepEqual(await page.events(), ["open", "reset", "error", "close"]);
    assert.deepEqual([...new Set(asked)], ["/?ticket=1", "/?ticket=2"]);
  });
});
