// Looks for the short names with which the core compresses best, and writes names.json. To be run now and then: the
// build takes what stands there, so that it makes the same everywhere, whatever zlib there is.
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";
import { internalNames, LETTERS, shortNames, together } from "./mangle.mjs";
import { arrows, squeeze, TARGET } from "./squeeze.mjs";

/** How many changes are tried. */
const ROUNDS = Number(process.argv[2] ?? 20_000);

/** No more letters than are worth it: the first ones. */
const CANDIDATES = LETTERS.slice(0, 26);

const sdk = dirname(fileURLToPath(import.meta.url));
const source = join(sdk, "src");
const names = await internalNames(source, join(sdk, "dist"));
const { others } = await together(source, names);
const short = await shortNames(source, names);

/** The core as a page's bundler leaves it, with a mark in the place of each name. */
async function template() {
  const { outputFiles } = await build({
    absWorkingDir: sdk,
    bundle: true,
    target: TARGET,
    charset: "utf8",
    plugins: [arrows],
    mangleProps: new RegExp(`^(?:${names.join("|")})$`),
    mangleCache: Object.fromEntries(names.map((name, i) => [name, `$${i}$`])),
    entryPoints: ["src/index.ts"],
    format: "esm",
    platform: "neutral",
    sourcemap: "external",
    outdir: sdk,
    write: false,
  });
  const code = outputFiles.at(-1);
  const squeezed = await squeeze(code.text);
  const { code: bundled } = await transform(squeezed.code, { minify: true, format: "esm" });
  return bundled.split(/\$(\d+)\$/);
}

const parts = await template();
const size = () =>
  gzipSync(parts.map((part, i) => (i % 2 ? short[names[part]] : part)).join(""), { level: 9 }).length;

/** A generator of random numbers that is the same at each run. */
let state = Number(process.argv[3] ?? 1);
function random(below) {
  state = (state * 48_271) % 0x7fffffff;
  return state % below;
}

let best = size();
console.log(`${best} bytes`);
for (let round = 0; round < ROUNDS; round++) {
  const name = names[random(names.length)];
  const letter = CANDIDATES[random(CANDIDATES.length)];
  const changed = [name, ...[...others.get(name)].filter((other) => short[other] === letter)];
  const before = changed.map((each) => short[each]);
  for (const each of changed) short[each] = each === name ? letter : before[0];
  const differ = changed.every((each) =>
    [...others.get(each)].every((other) => short[other] !== short[each]),
  );
  const now = differ ? size() : Number.POSITIVE_INFINITY;
  if (now <= best) best = now;
  else for (const [i, each] of changed.entries()) short[each] = before[i];
}
console.log(`${best} bytes`);
await writeFile(
  join(sdk, "names.json"),
  `${JSON.stringify(Object.fromEntries(Object.entries(short).sort()), null, 2)}\n`,
);
