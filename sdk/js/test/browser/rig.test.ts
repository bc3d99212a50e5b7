import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage, startBrowser, startSite } from "../rig.ts";

test("a page has the scripts of its site", async () => {
  const site = await startSite({ source: "Object.assign(globalThis, { answer: 42 });" });
  const browser = await startBrowser();
  try {
    const page = await openPage(browser, site);
    assert.equal(await page.evaluate("answer"), 42);
  } finally {
    await browser.close();
    await site.close();
  }
});
