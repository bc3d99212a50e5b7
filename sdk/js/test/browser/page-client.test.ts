// The page client, in pages that know nothing of it.
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { connect, createServer as createConnectionServer } from "node:net";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { type WebSocket as AppSocket, WebSocketServer } from "ws";
import { findings } from "../rig/axe.ts";
import { freePort } from "../rig/port.ts";
import { FaultProxy, Sidecar, startBrowser, until } from "../rig.ts";

/** What the page does, as ordinary code does it: it logs in when its socket opens, and lists what it is told. */
const PAGE_SCRIPT = `
window.got = []; window.log = [];
const socket = new WebSocket("ws://" + location.host + "/feed");
socket.onopen = () => { log.push("open"); socket.send("login"); };
socket.onmessage = ({ data }) => { got.push(Number(data)); socket.send(data); };
socket.onclose = ({ code }) => log.push("close " + code);
`;

/** An app with one page and a feed of numbers, which goes on only for who has logged in on that socket. */
class Feed {
  readonly heard: number[] = [];
  port = 0;
  logins = 0;
  policy = "";
  #next = 0;
  #server: Server | null = null;
  readonly #sockets = new Set<AppSocket>();
  readonly #timer = setInterval(() => this.#tell(), 5);

  async start(): Promise<void> {
    this.port ||= await freePort();
    const server = createServer((request, answer) => {
      if (request.url === "/script.js") {
        answer.setHeader("Content-Type", "text/javascript");
        answer.end(PAGE_SCRIPT);
        return;
      }
      answer.setHeader("Content-Type", "text/html; charset=utf-8");
      if (this.policy) answer.setHeader("Content-Security-Policy", this.policy);
      answer.end(
        `<!doctype html><html><head><title>feed</title><script nonce="n1" src="/script.js"></script></head><body></body></html>`,
      );
    });
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket) => {
      socket.on("message", (data) => {
        if (`${data}` === "login") {
          this.logins++;
          this.#sockets.add(socket);
        } else {
          this.heard.push(Number(`${data}`));
        }
      });
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    this.#server = server;
  }

  /** One number to all who have logged in; it waits while nobody has. */
  #tell(): void {
    if (!this.#sockets.size) return;
    const number = this.#next++;
    for (const socket of this.#sockets) socket.send(`${number}`);
  }

  /** Ends it as a process ends. */
  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    for (const socket of this.#sockets) socket.terminate();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.stop();
  }
}

interface Visit {
  readonly page: Page;
  readonly feed: Feed;
  readonly proxy: FaultProxy;
  got(): Promise<number[]>;
  log(): Promise<string[]>;
}

/** Visits the page through a network and a sidecar. */
async function visit(
  body: (visit: Visit) => Promise<void>,
  environment: Record<string, string> = {},
  policy = "",
): Promise<void> {
  const feed = new Feed();
  feed.policy = policy;
  await feed.start();
  const sidecar = new Sidecar(feed.port, { WSR_PAGE_CLIENT: "inject", ...environment });
  await sidecar.start();
  const proxy = new FaultProxy(sidecar.port);
  await proxy.start();
  const browser = await startBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${proxy.port}/`);
    const got = () => page.evaluate(() => (window as never as { got: number[] }).got);
    const log = () => page.evaluate(() => (window as never as { log: string[] }).log);
    // The compiler's helper, which functions for the page may call.
    await page.evaluate("globalThis.__name = (value) => value");
    await until(async () => (await got()).length > 0, "the first message");
    await body({ page, feed, proxy, got, log });
  } finally {
    await browser.close();
    await proxy.close();
    await sidecar.kill();
    await feed.close();
  }
}

/** What a page sees of sockets. */
interface Found {
  plain?: unknown[];
  derived?: unknown[];
  foreign?: unknown[];
  foreignDerived?: unknown[];
  errors?: unknown[];
  shape?: unknown[];
}

function inOrder(numbers: readonly number[], what: string): void {
  for (const [i, number] of numbers.entries()) {
    if (i > 0) assert.equal(number, numbers[i - 1]! + 1, `${what} after ${numbers[i - 1]}`);
  }
}

test("a page without a changed line loses nothing through cuts", () =>
  visit(async ({ page, feed, proxy, got, log }) => {
    for (let i = 0; i < 6; i++) {
      const { length } = await got();
      proxy.silence();
      await page.waitForTimeout(100);
      proxy.cut(i % 2 ? "rst" : "fin");
      proxy.heal();
      await until(async () => (await got()).length > length + 20, "the feed goes on");
    }
    inOrder(await got(), "told");
    const known = [...feed.heard];
    inOrder(known, "heard");
    assert.equal(known[0], (await got())[0]);
    assert.deepEqual(await log(), ["open"]);
    assert.equal(feed.logins, 1);
  }));

test("a fresh app socket is told to the page as an open, where it logs in", () =>
  visit(async ({ page, feed, got, log }) => {
    for (let i = 1; i <= 2; i++) {
      await feed.stop();
      await page.waitForTimeout(300); // an app that is there again at once looks like one that meant it
      await feed.start();
      const { length } = await got();
      await until(async () => (await got()).length > length + 20, "the feed goes on").catch(async (e) => {
        console.log(await log(), feed.logins, await got());
        throw e;
      });
      assert.equal(feed.logins, i + 1);
    }
    inOrder(await got(), "told");
    assert.deepEqual(await log(), ["open", "open", "open"]);
  }));

test("it goes where a policy wants a nonce", () =>
  visit(
    async ({ page, proxy, got, log }) => {
      assert.equal(await page.evaluate(() => WebSocket.toString().includes("native code")), false);
      const { length } = await got();
      proxy.cut();
      await until(async () => (await got()).length > length + 20, "the feed goes on");
      assert.deepEqual(await log(), ["open"]);
    },
    {},
    "script-src 'nonce-n1' 'strict-dynamic'; object-src 'none'",
  ));

test("what code knows of WebSocket holds", () =>
  visit(async ({ page }) => {
    const found = await page.evaluate(async () => {
      class Derived extends WebSocket {
        extra = 1;
        override send(data: string) {
          super.send(`derived ${data}`);
        }
      }
      const here = `ws://${location.host}/feed`;
      // Another host: the sidecar has the same port under another name.
      const there = here.replace("127.0.0.1", "localhost");
      const results: Found = {};
      const check = async (name: string, socket: WebSocket) => {
        await new Promise((resolve, reject) => {
          socket.addEventListener("open", resolve);
          socket.onerror = () => reject(new Error(`${name} failed`));
        });
        const calls: string[] = [];
        socket.send("1");
        results[name as keyof Found] = [
          socket instanceof WebSocket,
          socket instanceof EventTarget,
          socket.constructor.name,
          Object.prototype.toString.call(socket),
          socket.readyState === WebSocket.OPEN && socket.OPEN === 1,
          "state" in socket && Reflect.has(socket, "resilient"),
          socket.url.endsWith("/feed"),
          socket.binaryType,
          (() => {
            const { send } = WebSocket.prototype;
            WebSocket.prototype.send = function (this: WebSocket, data) {
              calls.push("patched");
              send.call(this, data);
            };
            socket.send("2");
            WebSocket.prototype.send = send;
            return calls.length;
          })(),
        ];
        socket.close();
        await new Promise((resolve) => socket.addEventListener("close", resolve));
      };
      await check("plain", new WebSocket(here));
      await check("derived", new Derived(here));
      await check("foreign", new WebSocket(there));
      await check("foreignDerived", new Derived(there));
      const thrown = (call: () => unknown) => {
        try {
          call();
          return "nothing";
        } catch (error) {
          return (error as Error).name;
        }
      };
      results.errors = [
        thrown(() => (WebSocket as never as () => void)()),
        thrown(() => new (WebSocket as never as new () => WebSocket)()),
        thrown(() => new WebSocket("ftp://x")),
        thrown(() => new WebSocket(here, ["a", "a"])),
      ];
      results.shape = [
        WebSocket.name,
        WebSocket.length,
        WebSocket.CONNECTING,
        Object.keys(window).includes("WebSocket"),
        WebSocket.prototype.send.length,
      ];
      return results;
    });
    const same = [true, true, "WebSocket", "[object WebSocket]", true, true, true, "blob", 1];
    assert.deepEqual(found.plain, same);
    assert.deepEqual(found.foreign, same);
    const derived = [true, true, "Derived", "[object WebSocket]", true, true, true, "blob", 1];
    assert.deepEqual(found.derived, derived);
    assert.deepEqual(found.foreignDerived, derived);
    assert.deepEqual(found.errors, ["TypeError", "TypeError", "SyntaxError", "SyntaxError"]);
    assert.deepEqual(found.shape, ["WebSocket", 1, 0, false, 1]);
  }));

test("a page says which sockets are not taken, and shows the mark if it wants to", () =>
  visit(
    async ({ page, proxy }) => {
      const status = page.locator("[role=status]");
      assert.equal(await status.count(), 0);
      await proxy.down(true);
      proxy.cut();
      await until(async () => (await status.count()) === 1, "the mark");
      await until(async () => /Nothing is lost/.test((await status.textContent()) ?? ""), "its text");
      for (const colorScheme of ["dark", "light"] as const) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await findings(page, "[role=status]"), [], `the mark, ${colorScheme}`);
      }
      await proxy.down(false);
      await until(async () => (await status.count()) === 0, "it is gone");
      const taken = await page
        .evaluate(async () => {
          const meta = Object.assign(document.createElement("meta"), {
            name: "wsresilience",
            content: "except=/plain/ /feed",
          });
          document.head.append(meta);
          const socket = new WebSocket(`ws://${location.host}/feed`);
          await new Promise((resolve) => {
            socket.onopen = resolve;
          });
          return "state" in socket && Reflect.get(socket, "unacknowledged") !== undefined;
        })
        .catch((error) => `${error}`);
      assert.match(`${taken}`, /private|TypeError/); // the browser's own socket has no such member
    },
    { WSR_PAGE_CLIENT_BADGE: "on" },
  ));

test("sockets to other hosts that are named are taken too", async () => {
  const port = await freePort();
  await visit(
    async ({ page, proxy }) => {
      const second = createConnectionServer((client) => {
        const server = connect(proxy.target, "127.0.0.1");
        client.pipe(server).pipe(client);
        for (const socket of [client, server]) socket.on("error", () => {});
      }).listen(port, "127.0.0.1");
      const taken = await page.evaluate(async (port) => {
        const socket = new WebSocket(`ws://${location.hostname}:${port}/feed`);
        await new Promise((resolve) => {
          socket.onopen = resolve;
        });
        const { resilient } = socket as never as { resilient: boolean };
        socket.close();
        return resilient;
      }, port);
      second.close();
      assert.equal(taken, true);
    },
    { WSR_PAGE_CLIENT_HOSTS: `feed.example.com,:${port}` },
  );
});

test("with serve, one tag of the page's own is the whole change", async () => {
  const feed = new Feed();
  await feed.start();
  const sidecar = new Sidecar(feed.port, { WSR_PAGE_CLIENT: "serve" });
  await sidecar.start();
  try {
    const at = `http://127.0.0.1:${sidecar.port}`;
    const page = await (await fetch(`${at}/`, { headers: { Accept: "text/html" } })).text();
    assert.doesNotMatch(page, /\.wsr/);
    const script = await fetch(`${at}/.wsr/client.js`);
    assert.equal(script.headers.get("content-type"), "text/javascript; charset=utf-8");
    assert.equal(script.headers.get("cache-control"), "no-cache");
    const again = await fetch(`${at}/.wsr/client.js`, {
      headers: { "If-None-Match": script.headers.get("etag") ?? "" },
    });
    assert.equal(again.status, 304);
    assert.match(await script.text(), /wsresilience/);
  } finally {
    await sidecar.kill();
    await feed.close();
  }
});
