// Drop-in conformance in Node, over ws: the table that a browser's WebSocket passes too.
import { test } from "node:test";
import { WebSocket } from "ws";
import { TableApp } from "../conformance/app.ts";
import { judge } from "../conformance/judge.ts";
import { runTable } from "../conformance/table.ts";
import { ResilientWebSocket } from "../rig/class.ts";
import { freePort } from "../rig/port.ts";
import { startRig } from "../rig.ts";

for (const sidecar of [false, true]) {
  test(sidecar ? "through a sidecar" : "to the app itself", async (t) => {
    const app = new TableApp();
    const rig = await startRig({ app: { attach: (server) => app.attach(server) }, sidecar });
    try {
      const outcomes = await runTable({
        type: ResilientWebSocket,
        more: [{ webSocket: WebSocket }],
        base: rig.url,
        nowhere: `ws://127.0.0.1:${await freePort()}/`,
        ended: (url) => app.ended(url),
        page: false,
      });
      await judge(t, outcomes);
    } finally {
      await rig.close();
    }
  });
}
