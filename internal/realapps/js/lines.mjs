// Commands come as lines of JSON on stdin, what happens goes out as lines of
// JSON on stdout. When stdin ends, whoever started this program is gone.
import { createInterface } from "node:readline";

export function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

export function obey(commands) {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (text) => {
    const { do: name, ...args } = JSON.parse(text);
    Promise.resolve(commands[name](args)).catch((err) => say({ failed: `${name}: ${err}` }));
  });
  lines.on("close", () => process.exit(0));
}

// settings are given as one JSON object on the command line.
export const settings = JSON.parse(process.argv[2]);
