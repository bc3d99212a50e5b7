// Sockets in workers, where there is neither a document nor a page that is hidden or left.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage, startRig, startSite, startUnaidedBrowser, until } from "../rig.ts";

declare global {
  /** What the worker has told its page. */
  var told: string[];
  var worker: Worker | SharedWorker;
}

for (const kind of ["Worker", "SharedWorker"] as const) {
  test(`a socket in a ${kind} resumes, and restores the app's context`, async () => {
    const rig = await startRig({ app: {} });
    const site = await startSite();
    const { browser, close } = await startUnaidedBrowser();
    try {
      const page = await openPage(browser, site);
      await page.evaluate(
        ([kind, url]) => {
          globalThis.told = [];
          const source = `import "${location.origin}/page.js";
            const begin = (port) => {
              const socket = new ResilientWebSocket("${url}", [], {
                reconnectDelay: 20,
                adopt: (_event, send) => send("login"),
              });
              for (const name of ["open", "resumed", "adopted"]) {
                socket.addEventListener(name, () => port.postMessage(name));
              }
              socket.onmessage = ({ data }) => port.postMessage(data);
              port.onmessage = ({ data }) => socket.send(data);
            };
            globalThis.SharedWorkerGlobalScope ? (onconnect = ({ ports }) => begin(ports[0])) : begin(globalThis);`;
          const at = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
          const made =
            kind === "Worker" ? new Worker(at, { type: "module" }) : new SharedWorker(at, { type: "module" });
          globalThis.worker = made;
          const port = "port" in made ? made.port : made;
          port.onmessage = ({ data }: MessageEvent<string>) => void told.push(data);
        },
        [kind, rig.url] as const,
      );
      const tells = (what: string) =>
        until(() => page.evaluate((what) => told.includes(what), what), `the worker tells ${what}`);
      const say = (what: string) =>
        page.evaluate((what) => ("port" in worker ? worker.port : worker).postMessage(what), what);
      await tells("open");
      rig.proxy.cut();
      rig.app.socket.send("missed");
      await tells("resumed");
      await tells("missed");
      await say("order 1");
      await until(() => rig.app.socket.received.length === 1, "it arrives");
      await rig.app.stop();
      await say("order 2");
      await rig.app.start();
      await tells("adopted");
      await until(() => rig.app.socket.received.length === 2, "both arrive");
      assert.deepEqual(rig.app.socket.received, ["login", "order 2"]);
    } finally {
      await close();
      await site.close();
      await rig.close();
    }
  });
}
