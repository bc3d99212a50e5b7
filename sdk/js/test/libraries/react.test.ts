import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage, startBrowser, startRig, startSite, until } from "../rig.ts";

const SOURCE = `
import { createElement, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Ticker } from "./examples/react.tsx";
globalThis.show = (url) => {
  globalThis.root ??= createRoot(document.body.appendChild(document.createElement("main")));
  root.render(url && createElement(StrictMode, null, createElement(Ticker, { url })));
};`;

declare const show: (url: string | null) => void;

test("a component in StrictMode has one session, keeps it through cuts, and ends it", async () => {
  const rig = await startRig({ app: {} });
  const site = await startSite({ source: SOURCE });
  const browser = await startBrowser();
  try {
    const page = await openPage(browser, site);
    const shows = (text: string) =>
      until(async () => (await page.textContent("main"))?.trim() === text, text);
    await page.evaluate((url) => show(url), rig.url);
    await page.click("button"); // before there is a connection, perhaps
    await until(() => rig.app.sockets.length > 0, "a session");
    rig.app.socket.send("one");
    await shows("one");
    for (const text of ["two", "three", "four"]) {
      rig.proxy.cut();
      rig.app.socket.send(text);
      await shows(text);
    }
    assert.equal(rig.app.sockets.length, 1);
    assert.deepEqual(rig.app.received, ["clicked"]);
    await page.evaluate(() => show(null));
    await until(() => rig.app.socket.closed, "the end of the session");
    assert.equal(rig.app.socket.closed!.code, 1000);
  } finally {
    await browser.close();
    await site.close();
    await rig.close();
  }
});
