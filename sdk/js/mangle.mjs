// Which property names of the core are nobody's business, and so may be shortened in what is published.
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Modules whose names pages see, or another entry of the package. */
const PUBLIC = /^(index|events|options|store|resilient-websocket|standard|persist.*)\.ts$/;

/**
 * Names that the platform or the package has too, while the core says them of its own objects alone. None may
 * be in an object that a page or a store gets to see, nor be the key of a table that is asked by a string.
 */
const OURS =
  "bare buffered bytes closed closing connect count dead delayMillis fail find forget head held in interval kept leave local machine maxMessage next opened out outputs receipt remote reset restart resume session settings start status store take target timer unacked waiting window".split(
    " ",
  );

/** A member of a class or an interface, or a property of a literal, at the beginning of its line. */
const MEMBER = /^ +(?:(?:private|readonly|get|set|async) )*(\w+)[?!]?(?:[:;(=]| =|<)/gm;

const WORD = /[A-Za-z_]\w*/g;

/** Returns the names: declared in the core, and found in no declaration of the platform or of the package. */
export async function internalNames(source) {
  const files = await readdir(source);
  const read = async (names, folder) =>
    Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
  const inside = (
    await read(
      files.filter((name) => !PUBLIC.test(name)),
      source,
    )
  ).join("\n");
  const seen = (
    await read(
      files.filter((name) => PUBLIC.test(name)),
      source,
    )
  ).join("\n");

  const compiler = createRequire(import.meta.url).resolve("typescript/package.json");
  const platform = createRequire(compiler).resolve(
    `@typescript/typescript-${process.platform}-${process.arch}/package.json`,
  );
  const library = join(dirname(platform), "lib");
  const declarations = (await readdir(library)).filter((name) => /^lib\.(es|dom).*\.d\.ts$/.test(name));
  const taken = new Set(seen.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "").match(WORD));
  for (const text of await read(declarations, library)) {
    for (const [, name] of text.matchAll(MEMBER)) taken.add(name);
  }
  const own = new Set(Array.from(inside.matchAll(MEMBER), ([, name]) => name));
  for (const name of OURS) taken.delete(name);
  return [...own].filter((name) => !taken.has(name) && name.length > 1).sort();
}
