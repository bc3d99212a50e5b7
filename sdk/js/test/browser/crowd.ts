import assert from "node:assert/strict";
import type { BrowserContextOptions, Page } from "playwright-core";
import { Child, program } from "../rig/process.ts";
import { startBrowser, until } from "../rig.ts";

/** The console of a sidecar with as many sessions as one likes, and a browser to look at it with. */
export interface Crowd {
  readonly url: string;
  /** Opens a view of the page, and waits until there is something in it. */
  visit(hash: string, options?: BrowserContextOptions): Promise<Page>;
}

/** Serves a console for a test, on a port that is free. A page that had an error, or asked another, fails it. */
export async function crowd(flags: readonly string[], act: (crowd: Crowd) => Promise<void>): Promise<void> {
  const child = new Child(program("crowd", "./internal/console/crowd"), flags, { ...process.env } as Record<
    string,
    string
  >);
  const browser = await startBrowser();
  const wrong: string[] = [];
  try {
    const [, url] = await until(() => /open (http:\S+)/.exec(child.output), "an address");
    await act({
      url: url!,
      visit: async (hash, options) => {
        const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
        const page = await context.newPage();
        page.on("pageerror", (error) => wrong.push(String(error)));
        page.on("console", (message) => {
          // A browser says so of each answer that refuses something.
          if (message.type() === "error" && !/status of 40[03]/.test(message.text()))
            wrong.push(message.text());
        });
        page.on("request", (request) => {
          if (!request.url().startsWith(new URL(url!).origin)) wrong.push(`request to ${request.url()}`);
        });
        await page.goto(`${url}#${hash}`);
        await page.locator("#count:not(:empty), #notice:not([hidden])").first().waitFor();
        return page;
      },
    });
    assert.deepEqual(wrong, []);
  } finally {
    await browser.close();
    await child.end("SIGINT");
  }
}
