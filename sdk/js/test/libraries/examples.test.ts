import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));

test("the examples agree with the types of the libraries that they use", async () => {
  const compiler = join(
    dirname(createRequire(import.meta.url).resolve("typescript/package.json")),
    "bin",
    "tsc",
  );
  await promisify(execFile)(process.execPath, [compiler, "-p", examples]).catch(
    (error: { stdout: string }) => {
      throw new Error(error.stdout);
    },
  );
});
