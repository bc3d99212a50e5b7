// Prints what the package costs a page, minified and gzipped, and fails when that is more than promised.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Most bytes that each import may cost: what was reached. The core is to shrink towards 6 KiB. */
const BUDGET = [
  {
    source: `import { ResilientWebSocket } from "./dist/index.js"; console.log(ResilientWebSocket);`,
    most: 8344,
  },
  {
    source: `import { indexedDBStore } from "./dist/persist.js"; console.log(indexedDBStore);`,
    most: 3 << 10,
  },
  {
    source: `import { tabs } from "./dist/share.js"; console.log(tabs);`,
    most: 6.5 * 1024,
  },
  {
    source: `import { keys } from "./dist/keys.js"; console.log(keys);`,
    most: 2560,
  },
  {
    source: `import { devices } from "./dist/devices.js"; console.log(devices);`,
    most: 1536,
  },
];

for (const { source, most } of BUDGET) {
  const { outputFiles, warnings } = await build({
    stdin: { contents: source, resolveDir: dirname(fileURLToPath(import.meta.url)) },
    bundle: true,
    minify: true,
    platform: "browser",
    format: "esm",
    write: false,
  });
  if (warnings.length) process.exitCode = 1; // two members of a class with one short name, say
  const [{ contents }] = outputFiles;
  const { length } = gzipSync(contents, { level: 9 });
  const entry = source.match(/dist\/(\w+)/)[1];
  console.log(`${entry}: ${contents.length} bytes minified, ${length} gzipped, at most ${most}`);
  if (length > most) {
    console.error(`${entry} is too large by ${length - most} bytes`);
    process.exitCode = 1;
  }
}
