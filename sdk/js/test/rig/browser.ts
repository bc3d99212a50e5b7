import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { freePort } from "./port.ts";
import { Child, temporaryFolder } from "./process.ts";
import { until } from "./until.ts";

/** All names below `.test` (RFC 6761) are this machine, for the browser and not for the SDK. */
const ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1"];

/** Those that only keep a new profile quiet. */
const UNAIDED = [
  "--headless=new",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-extensions",
  "--disable-sync",
];

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

export interface UnaidedBrowser {
  readonly browser: Browser;
  close(): Promise<void>;
}

/** How long Chromium may take to let itself be driven, in ms, and how often it is started: at times it does not. */
const PATIENCE = 10_000;
const TRIES = 3;

async function startOnce(): Promise<UnaidedBrowser> {
  const port = await freePort();
  const folder = temporaryFolder();
  const child = new Child(
    browserFile(),
    [...ARGUMENTS, ...UNAIDED, `--remote-debugging-port=${port}`, `--user-data-dir=${folder}`, "about:blank"],
    { ...process.env, HOME: folder },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  const ready = () =>
    fetch(`${endpoint}/json/version`).then(
      (answer) => answer.ok,
      () => false,
    );
  try {
    await until(ready, () => `Chromium is ready: ${child.output}`);
    const browser = await chromium.connectOverCDP(endpoint, { noDefaults: true, timeout: PATIENCE });
    const close = async () => {
      await browser.close();
      await child.end("SIGKILL");
    };
    return { browser, close };
  } catch (error) {
    await child.end("SIGKILL");
    throw error;
  }
}

/** Starts Chromium as it is, with pages that can be hidden, frozen and cached. Its first context is to be used. */
export async function startUnaidedBrowser(): Promise<UnaidedBrowser> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce();
    } catch (error) {
      if (attempt === TRIES) throw error;
    }
  }
}
