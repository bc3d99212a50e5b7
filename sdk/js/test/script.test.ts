import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { play } from "./script/commands.ts";
import { Stage } from "./script/stage.ts";

const directory = fileURLToPath(new URL("../../../testdata/client/", import.meta.url));
const scripts = readdirSync(directory).filter((name) => name.endsWith(".txt"));

test("there are scripts", () => {
  assert.notEqual(scripts.length, 0);
});

// The scenarios that this client shares with the one in Go; testdata/client/README.md describes their language.
for (const name of scripts) {
  test(name.replace(".txt", ""), () => {
    const stage = new Stage();
    for (const step of readFileSync(directory + name, "utf8").split("\n\n")) {
      const lines = step
        .trim()
        .split("\n")
        .filter((line) => !line.startsWith("#"));
      const [command, dashes, ...expected] = lines;
      if (command === undefined) {
        continue;
      }
      assert.equal(dashes, "----", command);
      assert.deepEqual(
        stage.play(() => play(stage, command.split(" "))),
        mine(expected),
        `${name}: ${command}`,
      );
    }
  });
}

/** Leaves out what only the other client does. */
function mine(lines: string[]): string[] {
  return lines.filter((line) => !line.startsWith("go> ")).map((line) => line.replace(/^js> /, ""));
}
