import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { Child } from "../rig/process.ts";
import { until } from "../rig.ts";

/** Where this folder's packages are installed. */
export const folder: string = dirname(fileURLToPath(import.meta.url));

/** An app as it is delivered, with its own page, which lists numbers as its server says them. */
export interface StockApp {
  readonly name: string;
  /** Packages of Debian that it needs, beside the npm packages of this folder. */
  readonly debian?: readonly string[];
  /** Why a roll-out would prove nothing, if that is so: what the page shows lives in the process. */
  readonly noRollout?: string;
  /** Starts it on a port of loopback, and returns when it answers. */
  start(port: number): Promise<AppProcess>;
  /** Does in the page what a user does, until numbers come. */
  visit(page: Page, origin: string): Promise<void>;
  /** The numbers that the page shows, oldest first; a page may forget the oldest. */
  seen(page: Page): Promise<number[]>;
}

/** A run of an app. */
export interface AppProcess {
  /** Ends it as a roll-out does. */
  stop(): Promise<void>;
}

/** Numbers of this app are the time in so many milliseconds, so that a second process goes on where the first was. */
export const TICK = 50;

/** Runs a program until it answers HTTP on a port. */
export async function run(
  command: string,
  args: readonly string[],
  port: number,
  environment: NodeJS.ProcessEnv = {},
  path = "/",
): Promise<AppProcess> {
  const child = new Child(command, args, {
    PATH: process.env["PATH"],
    NODE_NO_WARNINGS: "1",
    ...environment,
  });
  const answers = (): Promise<boolean> =>
    child.ended
      ? Promise.reject(new Error(`${command} ended: ${child.output}`))
      : fetch(`http://127.0.0.1:${port}${path}`).then(
          () => true,
          () => false,
        );
  await until(answers, () => `${command} answers: ${child.output}`, 60_000);
  return { stop: () => child.end("SIGTERM") };
}

/** Whether a command is there. */
export const has = (command: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = spawn(command, ["--version"], { stdio: "ignore" });
    probe.once("error", () => resolve(false));
    probe.once("exit", () => resolve(true));
  });

/** The numbers in the text of all elements that a selector finds. */
export const numbersIn = (page: Page, selector: string): Promise<number[]> =>
  page.evaluate(
    (selector) =>
      [...document.querySelectorAll(selector)].flatMap((element) =>
        (element.textContent?.match(/\d+/g) ?? []).map(Number),
      ),
    selector,
  );

declare global {
  var notedNumbers: number[];
}

/**
 * Has a page note the numbers in the messages that its code reads, where a pattern finds them: for pages that show
 * the newest alone, or show them slower than they come.
 */
export const noteNumbers = (page: Page, pattern: string): Promise<unknown> =>
  page.addInitScript({
    content: `{
      globalThis.notedNumbers = [];
      const { get } = Object.getOwnPropertyDescriptor(MessageEvent.prototype, "data");
      const read = new WeakSet();
      Object.defineProperty(MessageEvent.prototype, "data", {
        configurable: true,
        get() {
          const data = get.call(this);
          if (typeof data === "string" && this.target?.constructor === WebSocket && !read.has(this)) {
            read.add(this);
            for (const [, number] of data.matchAll(/${pattern}/g)) notedNumbers.push(Number(number));
          }
          return data;
        },
      });
    }`,
  });

/** The numbers that a page has noted. */
export const noted = (page: Page): Promise<number[]> => page.evaluate(() => notedNumbers);
