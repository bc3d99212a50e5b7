// Newer versions of Node have a WebSocket of their own, which Node 20 has behind a flag.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startRig } from "../rig.ts";

test("where there is a global WebSocket, none has to be passed", async () => {
  const rig = await startRig();
  try {
    const program = fileURLToPath(new URL("../rig/global.ts", import.meta.url));
    const flags = ["--experimental-websocket", "--import", "tsx"];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, program, rig.url, "a", "b"]);
    assert.equal(stdout, "a true\nb true\n");
    assert.deepEqual(rig.app.received, ["a", "b"]);
  } finally {
    await rig.close();
  }
});
