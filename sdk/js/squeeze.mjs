// How what is published is made small.
import { readFile } from "node:fs/promises";
import { minify } from "terser";

/** The newest standard that browsers of the last three years and Node 20 all have. */
export const TARGET = "es2022";

/** A function at the top of a module, as the formatter leaves it. */
const FUNCTION = /^(export )?(async )?function (\w+)([\s\S]*?) \{\n([\s\S]*?)^\}$/gm;

/**
 * Makes arrow functions of the functions at the top of modules, which cost fewer bytes. None of ours is called before
 * its module has run, or knows `this`; lines stay where they are.
 */
export const arrows = {
  name: "arrows",
  setup({ onLoad }) {
    onLoad({ filter: /src\/[\w-]+\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(
        FUNCTION,
        (_, exported = "", async = "", name, head, body) =>
          `${exported}const ${name} = ${async}${head} => {\n${body}};`,
      ),
      loader: "ts",
    }));
  },
};

/**
 * Shortens what esbuild does not, by nothing that Terser calls unsafe: what is published must do what the source
 * does. Functions used once stay where they are: wrapped in a call they cost more. What tells Node the names of
 * a CommonJS file would not survive. `source` is what Terser is to know of the source map, or undefined: none.
 */
export async function squeeze(script, source) {
  const compress = {
    passes: 3,
    reduce_funcs: false,
    sequences: false,
    inline: 2,
    conditionals: false,
    pure_getters: true,
  };
  // A module's names are its own; a script's are too, within the function that it is.
  return minify(script, { module: true, ecma: 2022, compress, sourceMap: source ?? false });
}
