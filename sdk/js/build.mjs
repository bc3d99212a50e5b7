// Builds what npm gets, in dist/, and the demo page's copy of it.
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { internalNames, shortNames } from "./mangle.mjs";
import { arrows, squeeze, TARGET } from "./squeeze.mjs";

const sdk = dirname(fileURLToPath(import.meta.url));
const demo = join(sdk, "../../internal/demo/page/wsresilience.js");
const client = join(sdk, "../../internal/page/client.js");

/**
 * The entry points of the package, by their names there. `checked` is what Node and development builds have for
 * `index`; `require`, which is Node's, has nothing else.
 */
const ENTRIES = ["index", "checked", "persist", "share", "keys", "devices", "messages", "react"];

/** The first line of the demo page's copy. */
const BANNER = "// The TypeScript client of sdk/js, minified. Made by `make sdk`: change it there, not here.";

/** The first line of the page client. */
const PAGE_BANNER =
  "// wsresilience (Apache-2.0): makes the WebSockets of this page resilient. Made by `make sdk`.";

const settings = {
  absWorkingDir: sdk,
  bundle: true,
  minify: true,
  target: TARGET,
  charset: "utf8",
  logLevel: "warning",
};

/** What is built on the core's own interface has the page's copy of it. */
const core = {
  name: "core",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/index\.ts$/ }, () => ({ path: "wsresilience", external: true }));
  },
};

/** All of it in one file for pages that have no bundler. */
async function classic(folder, mangleProps, mangleCache) {
  await build({
    ...settings,
    plugins: [arrows],
    mangleProps,
    mangleCache,
    entryPoints: ["src/script.ts"],
    outdir: folder,
    format: "iife",
    globalName: "wsresilience",
    platform: "browser",
    sourcemap: "linked",
  });
}

/**
 * Each entry is a file of its own. The persistence works on the core's machine, so the short names of properties
 * are the same in all files, also in those of another format, which somebody may mix: `mangleCache` has them.
 */
async function scripts(folder, format, extension, platform, mangleProps, mangleCache) {
  const { outputFiles } = await build({
    ...settings,
    minify: format !== "esm", // `squeeze` does that better alone
    plugins: [arrows, core],
    external: ["react"],
    mangleProps,
    mangleCache,
    entryPoints: ENTRIES.map((entry) => `src/${entry}.ts`),
    outdir: folder,
    outExtension: { ".js": extension },
    format,
    platform,
    sourcemap: "linked", // with the sources in it
    write: false,
  });
  for (const entry of ENTRIES) {
    const file = entry + extension;
    const { text } = outputFiles.find(({ path }) => path.endsWith(`/${file}.map`));
    const { text: code } = outputFiles.find(({ path }) => path.endsWith(`/${file}`));
    const map = await withSources(text);
    const short =
      format === "esm"
        ? await squeeze(code, { content: map, url: `${file}.map`, includeSources: true })
        : { code, map };
    await writeFile(join(folder, file), `${short.code.trimEnd()}\n`);
    await writeFile(join(folder, `${file}.map`), short.map);
  }
}

/** Has a source map hold the sources as they are, and not with arrow functions. */
async function withSources(text) {
  const map = JSON.parse(text);
  map.sourcesContent = await Promise.all(map.sources.map((name) => readFile(join(folder, name), "utf8")));
  return JSON.stringify(map);
}

/** Declarations name the files beside them, by the extensions that those have in the package. */
const EXTENSIONS = { ".d.ts": ".js", ".d.cts": ".cjs" };

/** Matches the file in `from "./store.ts"` and `import("./store.ts")`, which the compiler leaves as they are. */
const RELATIVE = /(?<=\b(?:from|import)\b *\(?")\.\/(\w[\w-]*)\.ts(?=")/g;

/** Writes the declarations of the entries, and of what they name: the other ones are nobody's business. */
async function declarations(folder) {
  const out = await mkdtemp(join(tmpdir(), "wsr-declarations-"));
  try {
    const compiler = join(
      dirname(createRequire(import.meta.url).resolve("typescript/package.json")),
      "bin/tsc",
    );
    execFileSync(process.execPath, [compiler, "-p", `${sdk}/tsconfig.build.json`, "--outDir", out], {
      stdio: "inherit",
    });
    const names = new Set(ENTRIES);
    for (const name of names) {
      const text = await readFile(join(out, `${name}.d.ts`), "utf8");
      for (const [, found] of text.matchAll(RELATIVE)) names.add(found);
      for (const [declaration, script] of Object.entries(EXTENSIONS)) {
        await writeFile(join(folder, name + declaration), text.replace(RELATIVE, `./$1${script}`));
      }
    }
  } finally {
    await rm(out, { recursive: true });
  }
}

/** The demo page serves the core alone: nothing is kept across its reloads. */
async function page() {
  await mkdir(dirname(demo), { recursive: true });
  const script = await readFile(join(folder, "index.js"), "utf8");
  await writeFile(demo, `${BANNER}\n${script.replace(/^\/\/# sourceMappingURL=.*\n/m, "")}`);
}

/** The page client, which the sidecar has in it: a script without imports, and with short names of its own. */
async function pageClient(mangleProps, mangleCache) {
  const { outputFiles } = await build({
    ...settings,
    minify: false, // `squeeze` does that better alone
    plugins: [arrows],
    mangleProps,
    mangleCache,
    entryPoints: ["src/page.ts"],
    format: "iife",
    platform: "browser",
    write: false,
  });
  const { code } = await squeeze(outputFiles[0].text);
  await writeFile(client, `${PAGE_BANNER}\n${code.trimEnd()}\n`);
}

const folder = join(sdk, "dist");
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
await declarations(folder);
const names = await internalNames(join(sdk, "src"), folder);
const mangleProps = new RegExp(`^(?:${names.join("|")})$`);
const shortened = await shortNames(join(sdk, "src"), names);
await scripts(folder, "esm", ".js", "neutral", mangleProps, shortened);
await scripts(folder, "cjs", ".cjs", "node", mangleProps, shortened); // Node's ESM loader is told its exports
await pageClient(mangleProps, shortened);
await classic(folder, mangleProps, shortened);
await copyFile(join(sdk, "../../LICENSE"), join(sdk, "LICENSE")); // npm packs only what is in the package's folder
await page();
