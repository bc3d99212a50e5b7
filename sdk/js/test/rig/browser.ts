import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { freePort } from "./port.ts";
import { Child, temporaryFolder } from "./process.ts";
import { until } from "./until.ts";

/** All names below `.test` (RFC 6761) are this machine, for the browser and not for the SDK. */
const ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1"];

/** Playwright's own settings that take from a browser what people's browsers do. */
const UNREAL = [
  "--disable-back-forward-cache",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

function browserFile(): string {
  const { CHROMIUM } = process.env;
  if (CHROMIUM !== undefined) return CHROMIUM;
  const found = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
  if (found === undefined) throw new Error("no Chromium found: name one in CHROMIUM");
  return found;
}

/** Starts Chromium. Playwright makes every page believe that it is seen and has the focus. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: browserFile(), args: ARGUMENTS, ignoreDefaultArgs: UNREAL });
}

/** Starts Chromium as it is, with pages that can be hidden, frozen and cached. Its first context is to be used. */
export async function startUnaidedBrowser(): Promise<{ browser: Browser; close(): Promise<void> }> {
  const port = await freePort();
  const folder = temporaryFolder();
  const child = new Child(
    browserFile(),
    [
      ...ARGUMENTS,
      "--headless=new",
      "--no-first-run",
      `--remote-debugging-port=${port}`,
      `--user-data-dir=${folder}`,
    ],
    { ...process.env, HOME: folder },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  const ready = () =>
    fetch(`${endpoint}/json/version`).then(
      (answer) => answer.ok,
      () => false,
    );
  await until(ready, () => `Chromium is ready: ${child.output}`);
  const browser = await chromium.connectOverCDP(endpoint, { noDefaults: true });
  return {
    browser,
    close: async () => {
      await browser.close();
      await child.end("SIGTERM");
    },
  };
}
