// Where there is no disk to keep a session on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { ResilientWebSocket } from "../../src/index.ts";
import { indexedDBStore } from "../../src/persist.ts";
import { event } from "../rig.ts";

test("with persist, what is wrong with the URL is told by error and close", async () => {
  const socket = new ResilientWebSocket("no-scheme://x", [], {
    webSocket: WebSocket,
    persist: indexedDBStore("x"),
  });
  const events: string[] = [];
  socket.onerror = () => events.push("error");
  socket.onclose = ({ code }) => events.push(`close ${code}`);
  await event(socket, "close");
  // The first one says that there is no IndexedDB.
  assert.deepEqual(events, ["error", "error", "close 1006"]);
});
