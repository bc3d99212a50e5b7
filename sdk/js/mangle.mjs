// Which property names may be shortened in what is published: those that nobody outside can mean.
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** A member of a class or an interface, or a property of a literal, at the start of its line. */
const MEMBER =
  /^ +(?:(?:private|protected|public|abstract|override|declare|static|readonly|get|set|async) )*\*?(\w+)[?!]?(?:[:;(=]| =|<)/gm;

/** A member that is declared anywhere in a line. */
const READONLY = /\breadonly (\w+)\??:/g;

/** What can be a property of `globalThis`. */
const GLOBAL = /^declare (?:var|let|const|function|class) (\w+)/gm;

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/g;
const WORD = /[A-Za-z_]\w*/g;

/** The platform's declarations: the language, pages and workers. */
const PLATFORM = /^lib\.(es|dom|webworker).*\.d\.ts$/;

/** What names the properties of what is on disk or said to other tabs, which other versions read. */
const KEPT = /^(persist|share-messages)/;

async function read(folder, isWanted) {
  const names = (await readdir(folder)).filter(isWanted);
  return Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
}

/**
 * Returns the names that `source` declares as members, without each that is in the declarations of the package,
 * in the folder `declared`, that is kept on disk, or that is a member of anything of the platform. No list is
 * kept by hand: a name that the platform has too stays as it is, whoever uses it.
 */
export async function internalNames(source, declared) {
  const taken = new Set();
  for (const text of await read(declared, (name) => name.endsWith(".d.ts"))) {
    for (const [word] of text.replace(COMMENT, "").matchAll(WORD)) taken.add(word);
  }
  const compiler = createRequire(import.meta.url).resolve("typescript/package.json");
  const platform = createRequire(compiler).resolve(
    `@typescript/typescript-${process.platform}-${process.arch}/package.json`,
  );
  for (const text of await read(join(dirname(platform), "lib"), (name) => PLATFORM.test(name))) {
    for (const [, name] of [...text.matchAll(MEMBER), ...text.matchAll(GLOBAL)]) taken.add(name);
  }
  for (const text of await read(source, (name) => KEPT.test(name))) {
    for (const [, name] of [...text.matchAll(MEMBER), ...text.matchAll(READONLY)]) taken.add(name);
  }
  const own = new Set();
  for (const text of await read(source, (name) => !KEPT.test(name))) {
    for (const [, name] of text.matchAll(MEMBER)) own.add(name);
  }
  return [...own].filter((name) => !taken.has(name) && name.length > 1).sort();
}

/** A line that begins something at the top of a module. */
const TOP = /^(?=\S)/m;

/** The classes of the files of a family inherit from each other and stand for each other: all their members differ. */
const FAMILIES = [/^share/, /-transport/];

/** First those that are in most scripts anyway, which then compress better. */
export const LETTERS = [..."aeiscbwmrdnolfjutypghkvxqzABCDEFGHIJKLMNOPQRSTUVWXYZ"];

/** For those that find no letter. */
const PAIRS = LETTERS.flatMap((first) => LETTERS.map((second) => first + second));

/** What `npm run names` has found to compress best. A name that is missing here, or does not fit any more, gets another. */
const FOUND = new URL("names.json", import.meta.url);

/**
 * Returns which of `names` are declared together, by one type or in one function, and so must differ, and how often
 * each is used.
 */
export async function together(source, names) {
  const uses = new Map(names.map((name) => [name, 0]));
  const others = new Map(names.map((name) => [name, new Set()]));
  const families = await Promise.all(
    FAMILIES.map((family) => read(source, (name) => family.test(name) && !KEPT.test(name))),
  );
  const single = await read(
    source,
    (name) => !FAMILIES.some((family) => family.test(name)) && !KEPT.test(name),
  );
  for (const text of [...single, ...families.map((family) => family.join("\n"))]) {
    const code = text.replace(COMMENT, "");
    for (const [word] of code.matchAll(WORD)) if (uses.has(word)) uses.set(word, uses.get(word) + 1);
    for (const part of single.includes(text) ? code.split(TOP) : [code]) {
      const members = [...part.matchAll(MEMBER)].map(([, name]) => name).filter((name) => uses.has(name));
      for (const name of members)
        for (const other of members) if (other !== name) others.get(name).add(other);
    }
  }
  return { uses, others };
}

/** Returns a short name for each of `names`: what was found for it, or else the first letter that is free. */
export async function shortNames(source, names) {
  const { uses, others } = await together(source, names);
  const found = JSON.parse(await readFile(FOUND, "utf8"));
  const short = {};
  for (const name of [...names].sort((a, b) => uses.get(b) - uses.get(a) || (a < b ? -1 : 1))) {
    const taken = new Set([...others.get(name)].map((other) => short[other]));
    short[name] = [found[name], ...LETTERS, ...PAIRS].find((letter) => letter && !taken.has(letter));
  }
  return short;
}
