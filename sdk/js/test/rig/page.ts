import { readdirSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { freePort } from "./port.ts";

const sdk = fileURLToPath(new URL("../..", import.meta.url));

/** What a page runs: the names of the SDK become global. */
const SOURCE = `import * as sdk from "./src/index.ts"; Object.assign(globalThis, sdk);`;

/** Functions that tsx has compiled call __name, also when they are evaluated in a page. */
const HTML = `<!doctype html><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">
<script>globalThis.__name = (f) => f;</script>
<script type="module">import "/page.js"; globalThis.ready = true;</script>`;

export interface SiteOptions {
  /** TypeScript that the pages run; imports are relative to the SDK's folder. */
  source?: string;
  /** Response header fields of the page. */
  headers?: Record<string, string>;
}

/** A web site on the loopback interface, whose pages have the SDK. */
export class Site {
  readonly origin: string;
  readonly #server: Server;

  constructor(origin: string, server: Server) {
    this.origin = origin;
    this.#server = server;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The entries of the package, from which pages get what is published, and not the source. */
const ENTRIES = ["index", "persist", "share", "messages", "react"];

/** Fails if the package was not built from the present source. */
function checkBuild(): void {
  const made = statSync(join(sdk, "dist/index.js")).mtimeMs;
  for (const name of readdirSync(join(sdk, "src"))) {
    if (statSync(join(sdk, "src", name)).mtimeMs > made)
      throw new Error(`src/${name} is newer: npm run build`);
  }
}

const published: Plugin = {
  name: "published",
  setup({ onResolve }) {
    const entry = new RegExp(`/src/(${ENTRIES.join("|")})\\.ts$`);
    onResolve({ filter: entry }, ({ path }) => ({ path: join(sdk, "dist", `${path.match(entry)![1]}.js`) }));
  },
};

async function bundle(source: string): Promise<Map<string, string>> {
  checkBuild();
  const { outputFiles } = await build({
    plugins: [published],
    stdin: { contents: source, resolveDir: sdk, loader: "ts", sourcefile: "page.ts" },
    alias: Object.fromEntries(
      ENTRIES.map((entry) => [
        entry === "index" ? "wsresilience" : `wsresilience/${entry}`,
        `./src/${entry}.ts`,
      ]),
    ),
    absWorkingDir: sdk,
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    outdir: "/",
    write: false,
    logLevel: "error",
  });
  return new Map(outputFiles.map((file) => [file.path.replace("/stdin.js", "/page.js"), file.text]));
}

/** Serves pages that have the SDK: any path is a page, but those of its scripts. */
export async function startSite({ source = SOURCE, headers = {} }: SiteOptions = {}): Promise<Site> {
  const scripts = await bundle(source);
  const server = createServer((request, response) => {
    const script = scripts.get(request.url ?? "");
    if (script !== undefined) response.writeHead(200, { "content-type": "text/javascript" }).end(script);
    else response.writeHead(200, { "content-type": "text/html; charset=utf-8", ...headers }).end(HTML);
  });
  const port = await freePort();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  return new Site(`http://127.0.0.1:${port}`, server);
}

/** Opens a page of a site in a tab of its own, and returns when the SDK is there. */
export async function openPage(browser: Browser, site: Site, path = "/"): Promise<Page> {
  const context = browser.contexts()[0] ?? (await browser.newContext());
  const page = await context.newPage();
  await page.goto(site.origin + path);
  await page.waitForFunction("globalThis.ready");
  return page;
}
