import assert from "node:assert/strict";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { Child, program } from "../rig/process.ts";
import { startBrowser, until } from "../rig.ts";

/** The demo, and a browser to look at its page with. */
export interface Demo {
  readonly url: string;
  /** The end of what it printed. */
  output(): string;
  /** `at` is another way to the page. */
  visit(options?: BrowserContextOptions, at?: string): Promise<Visit>;
}

/** Starts the demo for a test, on a port that is free. */
export async function demo(flags: readonly string[], act: (demo: Demo) => Promise<void>): Promise<void> {
  const sidecar = program("sidecar", "./cmd/wsresilience-sidecar");
  const file = program("demo", "./cmd/wsresilience-demo");
  const args = ["-sidecar", sidecar, "-listen", "127.0.0.1:0", ...flags];
  const child = new Child(file, args, { ...process.env } as Record<string, string>);
  const browser = await startBrowser();
  const visits: Visit[] = [];
  try {
    const [, url] = await until(() => /open (http:\S+)/.exec(child.output), "the demo prints an address");
    await act({
      url: url!,
      output: () => child.output,
      visit: async (options, at = url!) => {
        const visit = await Visit.begin(browser, at, options);
        visits.push(visit);
        return visit;
      },
    });
    for (const visit of visits) visit.check();
  } finally {
    await browser.close();
    await child.end("SIGINT");
  }
}

/** What a button's request is called, by its key. */
export const KEYS = {
  tunnel: "t",
  cut: "c",
  "long-cut": "l",
  half: "h",
  slow: "s",
  kill: "k",
  drain: "d",
  restart: "r",
} as const;

export type Name = "plain" | "resilient";

/** One who looks at the page. */
export class Visit {
  readonly page: Page;
  readonly #wrong: string[] = [];

  private constructor(page: Page, url: string) {
    this.page = page;
    page.on("pageerror", (error) => this.#wrong.push(String(error)));
    page.on("console", (message) => {
      // A browser says so of every attempt that a network which is cut refuses.
      if (message.type() === "error" && !/^WebSocket connection to .* failed/.test(message.text())) {
        this.#wrong.push(`${message.text()} (${message.location().url})`);
      }
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(url)) this.#wrong.push(`request to ${request.url()}`);
    });
    page.on("websocket", (socket) => {
      if (!socket.url().startsWith(url.replace("http", "ws"))) this.#wrong.push(`socket to ${socket.url()}`);
    });
  }

  static async begin(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const visit = new Visit(await context.newPage(), url);
    await visit.page.goto(url);
    await visit.flows();
    return visit;
  }

  /** Fails if the page had an error, or loaded something from elsewhere. */
  check(): void {
    assert.deepEqual(this.#wrong, []);
  }

  /** A readout: the number that it begins with. */
  async number(lane: Name, value: string): Promise<number> {
    return Number.parseFloat(await this.text(`#${lane} [data-value="${value}"]`));
  }

  /** The second number of a readout that has two. */
  async adoptions(): Promise<number> {
    return Number((await this.text('#resilient [data-value="comebacks"]')).split("·")[1]);
  }

  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).textContent()) ?? "";
  }

  /** Waits until no fault lasts, and messages come and go over both sockets. */
  async flows(): Promise<void> {
    await until(
      async () =>
        (await this.text("#network")) === "whole" &&
        (await this.text("#pods")).match(/up/g)?.length === 2 &&
        (await this.page.locator('[data-button][aria-disabled="true"]').count()) === 0 &&
        (await this.page.locator('.lane[data-state="connected"]').count()) === 2 &&
        /^[1-9]\d* · [1-9]/.test(await this.text('#plain [data-value="rate"]')) &&
        /^[1-9]\d* · [1-9]/.test(await this.text('#resilient [data-value="rate"]')),
      "messages flow",
      60_000,
    );
  }

  /** Presses a button, waits until it has done what `shows` asks for, and until all is well again. */
  async press(button: keyof typeof KEYS, shows: () => Promise<boolean>): Promise<void> {
    await this.page.locator(`[data-button="${button}"]`).click();
    await until(shows, `what ${button} does`);
    await this.flows();
  }

  /** What the resilient socket was promised: nothing lost, nothing twice, whatever was pressed. */
  async keepsItsPromise(): Promise<void> {
    assert.equal(await this.number("resilient", "lost"), 0, await this.text("main"));
    assert.equal(await this.number("resilient", "duplicated"), 0, await this.text("main"));
  }
}
