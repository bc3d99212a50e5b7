// The console of a sidecar, as operators use it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { until } from "../rig.ts";
import { type Crowd, crowd } from "./crowd.ts";

const text = async (page: Page, selector: string): Promise<string> =>
  (await page.locator(selector).first().textContent()) ?? "";
const rows = (page: Page): Promise<number> => page.locator("#rows tbody tr").count();

/** Waits until the line above the list says so. */
const says = (page: Page, what: RegExp): Promise<unknown> => {
  let last = "";
  return until(
    async () => {
      last = await text(page, "#count");
      return what.test(last);
    },
    () => `${what} in ${last}`,
  );
};

type Visit = Crowd["visit"];

/** What is looked at in one console, one after the other. */
const looks: Record<string, (visit: Visit) => Promise<void>> = {
  "one of ten thousand sessions is found by path, address, state and id": async (visit) => {
    const page = await visit("sessions");
    await says(page, /100 of 10.000 shown, 10.000 in all/);
    assert.equal(await rows(page), 100);
    await page.locator("#more").click();
    await says(page, /^200 of/);

    await page.keyboard.press("/");
    await page.keyboard.type("/prices");
    await says(page, /^100 of 2.\d\d\d shown/);
    await page.locator('[name="state"]').selectOption("detached");
    await says(page, /^100 of 1\d\d shown/);
    await page.locator('[name="client"]').fill("203.1.0.0/16");
    await says(page, /^\d of \d shown/);
    for (const cell of await page.locator('#rows td[data-name="client"]').allTextContents())
      assert.match(cell, /^203\.1\./);
    await page.locator('[name="client"]').fill("nobody");
    await until(
      async () => /client=nobody is no address/.test(await text(page, "#notice")),
      "what is wrong with it",
    );
    await page.locator('button[type="reset"]').click();
    await says(page, /^100 of 10.000/);
    assert.equal(await page.locator("#notice").isVisible(), false);

    const id = (await page.locator("#rows tbody tr").nth(7).getAttribute("data-href"))!.slice(
      "#sessions/".length,
    );
    await page.locator('[name="id"]').fill(id.slice(0, 10));
    await says(page, /^1 of 1 shown/);
    assert.match(page.url(), new RegExp(`id=${id.slice(0, 10)}`), "the address can be shared");
  },
  "keys lead from the list to a session and back": async (visit) => {
    const page = await visit("sessions?sort=id");
    await says(page, /^100 of/);
    for (const key of ["j", "j", "j", "k", "Enter"]) await page.keyboard.press(key);
    await page.locator("#detail h3").first().waitFor();
    const href = await page.locator("#rows tbody tr").nth(1).getAttribute("data-href");
    assert.equal(new URL(page.url()).hash, href);
    const shown = await text(page, "#detail");
    for (const part of ["Link", "round trip", "To the client", "Journal", "Traffic", "What happened"])
      assert.ok(shown.includes(part), part);
    // The list is made anew every two seconds, and whoever goes through it with keys stays there.
    await page.waitForTimeout(2_500);
    await page.keyboard.press("j");
    assert.equal(await page.evaluate(() => document.activeElement?.closest("tr")?.rowIndex), 3);
    await page.keyboard.press("Escape");
    await page.locator("#detail").waitFor({ state: "hidden" });
    for (const [key, name] of [
      ["2", "Ended lately"],
      ["3", "Events"],
      ["4", "Sidecar and fleet"],
      ["1", "Sessions"],
    ] as const) {
      await page.keyboard.press(key);
      await until(async () => (await text(page, "#list-name")) === name, name);
    }
  },
  "events come as they happen, one that has ended says why, and one elsewhere where it is": async (visit) => {
    const page = await visit("events");
    await until(async () => (await rows(page)) > 50, "what was");
    const first = await text(page, "#rows tbody tr");
    await until(async () => (await text(page, "#rows tbody tr")) !== first, "what happens");

    const ended = await visit("ended");
    await ended.locator("#rows tbody tr").first().click();
    await until(async () => /Ended[\s\S]*What happened/.test(await text(ended, "#detail")), "why it ended");

    const elsewhere = await visit(`sessions/ee15e0${"0".repeat(26)}`);
    await until(
      async () => /10\.0\.3\.18:15801, whose lease is live/.test(await text(elsewhere, "#detail")),
      "its owner",
    );

    const fleet = await visit("sidecar");
    await until(
      async () => /10\.0\.3\.19:15801[\s\S]*live, draining/.test(await text(fleet, "#rows")),
      "who drains",
    );
  },
  "on a phone nothing is cut off, and the theme can be changed": async (visit) => {
    const page = await visit("sessions", {
      viewport: { width: 360, height: 740 },
      isMobile: true,
      hasTouch: true,
      colorScheme: "dark",
    });
    await says(page, /^100 of/);
    const wide = () =>
      page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(await wide(), 0, "the list");
    await page.locator("#rows tbody a").first().tap();
    await page.locator("#detail h3").first().waitFor();
    assert.equal(await wide(), 0, "a session");
    await page.locator(".close").tap();
    for (const view of ["ended", "events", "sidecar"]) {
      await page.locator(`nav a[data-view="${view}"]`).tap();
      await page.locator("#rows table").first().waitFor();
      assert.equal(await wide(), 0, view);
    }
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await paper();
    await page.locator("#theme").tap();
    assert.notEqual(await paper(), before);
  },
};

test("the console of ten thousand sessions", (t) =>
  crowd(["-sessions", "10000"], async ({ visit }) => {
    for (const [name, look] of Object.entries(looks))
      await t.test(name, async () => {
        const pages: Page[] = [];
        await look(async (hash, options) => {
          const page = await visit(hash, options);
          pages.push(page);
          return page;
        });
        for (const page of pages) await page.context().close();
      });
  }));

test("without the operator's token nothing is shown", () =>
  crowd(["-sessions", "5", "-token", "0123456789abcdef"], async ({ visit }) => {
    const page = await visit("sessions");
    await page.locator("#token").waitFor();
    assert.match(await text(page, "#notice"), /WSR_ADMIN_TOKEN_FILE/);
    assert.equal(await rows(page), 0);
    await page.locator("#token-value").fill("0123456789abcdef");
    await page.keyboard.press("Enter");
    await says(page, /^5 of 5 shown/);
    await page.locator("#token").waitFor({ state: "hidden" }); // the list may be drawn a moment earlier
    await page.keyboard.press("3");
    await until(async () => (await rows(page)) > 0, "events, for which the token is needed too");
  }));
