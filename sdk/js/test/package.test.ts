// What npm gets: packed, unpacked as a dependency of somebody, imported, required, and compiled against.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { WebSocketServer } from "ws";
import { temporaryFolder } from "./rig/process.ts";

const sdk = fileURLToPath(new URL("..", import.meta.url));
const modules = join(sdk, "node_modules");
const run = promisify(execFile);

const consumer = temporaryFolder();
const installed = join(consumer, "node_modules/wsresilience");

/** An app without a sidecar. */
const app = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => false });

before(async () => {
  app.on("connection", (socket) => socket.on("message", (data) => socket.send(`${data}!`)));
  if (!app.address()) await once(app, "listening");
  mkdirSync(installed, { recursive: true });
  for (const name of ["ws", "react", "@types"])
    symlinkSync(join(modules, name), join(consumer, "node_modules", name));
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", consumer], { cwd: sdk });
  const archive = join(consumer, stdout.trim().split("\n").at(-1)!);
  execFileSync("tar", ["-xzf", archive, "-C", installed, "--strip-components=1"]);
});

after(() => app.close());

test("the package holds what is used, and nothing else", () => {
  const files = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(installed.length + 1));
  const scripts = ["index", "checked", "persist", "share", "keys", "devices", "messages", "react"];
  const declarations = [...scripts, "dom", "events", "options", "resilient-websocket", "store"];
  assert.deepEqual(
    files.sort(),
    [
      "LICENSE",
      "README.md",
      "package.json",
      "dist/script.js",
      "dist/script.js.map",
      ...declarations.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.d.cts`]),
      ...scripts.flatMap((name) =>
        [".js", ".cjs"].flatMap((end) => [`dist/${name}${end}`, `dist/${name}${end}.map`]),
      ),
    ].sort(),
  );
});

test("no name of the platform or of the declarations is shortened", async () => {
  const { internalNames } = await import(join(sdk, "mangle.mjs"));
  const names: string[] = await internalNames(join(sdk, "src"), join(installed, "dist"));
  const objects = [Array, String, Map, Promise, Uint8Array, DataView, Event, EventTarget, AbortController];
  const members = objects.flatMap((type) => Object.getOwnPropertyNames(type.prototype));
  assert.ok(names.includes("newestBeat") && members.includes("find"));
  const options = [
    "persist",
    "outboxBytes",
    "maxReconnectDelay",
    "unacknowledged",
    "sessionId",
    "acked",
    "bufferedAmount",
  ];
  const shortened = [...members, ...Object.getOwnPropertyNames(globalThis), ...options].filter((name) =>
    names.includes(name),
  );
  assert.deepEqual(shortened, []);
});

test("no name of what tabs of other versions hear is shortened", async () => {
  const { internalNames } = await import(join(sdk, "mangle.mjs"));
  const names: string[] = await internalNames(join(sdk, "src"), join(installed, "dist"));
  const said = [...readFileSync(join(sdk, "src/share-messages.ts"), "utf8").matchAll(/readonly (\w+)/g)];
  assert.ok(said.length > 30);
  assert.deepEqual(
    said.map(([, name]) => name).filter((name) => names.includes(name!)),
    [],
  );
});

test("the source maps hold the sources", () => {
  for (const name of ["index.js", "index.cjs", "persist.js", "persist.cjs", "share.js", "share.cjs"]) {
    const read = (file: string): string => readFileSync(join(installed, "dist", file), "utf8");
    assert.equal(read(name).match(/^\/\/# sourceMappingURL=(.*)$/m)?.[1], `${name}.map`);
    const { sources, sourcesContent } = JSON.parse(read(`${name}.map`));
    const at = sources.indexOf("../src/serial.ts");
    assert.equal(sourcesContent[at], readFileSync(join(sdk, "src/serial.ts"), "utf8"), `${sources}`);
  }
});

/** Says a word to the app, prints what comes back, and which database the persistence asked for. The names of both files fit. */
const WORDS = `
  globalThis.indexedDB = { open(name) { console.log("opens", name); throw new Error("none here"); } };
  console.warn = (error) => console.log(error.message.split(" (")[0]);
  const options = { webSocket: WebSocket, persist: indexedDBStore("kept") };
  const socket = new ResilientWebSocket(process.argv[2], [], options);
  socket.onopen = () => socket.send("hello");
  socket.onmessage = ({ data }) => { console.log(data); socket.close(); };
  socket.onclose = ({ code }) => console.log(ResilientWebSocket.name, "closed", code, socket.resilient);
`;

const IMPORTS = {
  "esm.mjs": `
    import { ResilientWebSocket } from "wsresilience";
    import { indexedDBStore } from "wsresilience/persist";
    import { WebSocket } from "ws";`,
  "cjs.cjs": `
    const { ResilientWebSocket } = require("wsresilience");
    const { indexedDBStore } = require("wsresilience/persist");
    const { WebSocket } = require("ws");`,
  // A CommonJS file's names, as Node's loader of ES modules sees them, beside an ES module.
  "mixed.mjs": `
    import { ResilientWebSocket } from "wsresilience";
    import { indexedDBStore } from "./node_modules/wsresilience/dist/persist.cjs";
    import { WebSocket } from "ws";`,
};

for (const [file, imports] of Object.entries(IMPORTS)) {
  test(`${file} talks through the package to an app`, async () => {
    writeFileSync(join(consumer, file), imports + WORDS);
    const { port } = app.address() as AddressInfo;
    const { stdout } = await run(process.execPath, [file, `ws://127.0.0.1:${port}`], {
      cwd: consumer,
      timeout: 20_000,
    });
    const lines = stdout.trim().split("\n");
    assert.equal(lines.filter((line) => line === "opens wsresilience-unlocked").length, 1, stdout);
    assert.ok(lines.includes("wsresilience: persist: IndexedDB cannot be opened"), stdout);
    assert.deepEqual(lines.slice(-2), ["hello!", "ResilientWebSocket closed 1005 false"]);
  });
}

test("options are judged where the package is developed with, and not in what pages get", async () => {
  const wrong = {
    reconectDelay: ["5", 'option "reconectDelay" is unknown: did you mean "reconnectDelay"?'],
    polling: ["true", 'option "polling" is unknown: there are adopt, '],
    outboxBytes: ["-1", 'option "outboxBytes" is -1; it must be a number of bytes, 1 or more'],
    connectTimeout: ["NaN", 'option "connectTimeout" is NaN; it must be'],
    adopt: ['"yes"', 'option "adopt" is "yes"; it must be true, false, "reopen" or a function'],
    persist: ["{}", "what indexedDBStore(name) of wsresilience/persist returns"],
  };
  const attempts = Object.entries(wrong).map(
    ([name, [value]]) =>
      `try { new ResilientWebSocket("ws://127.0.0.1:1", [], { webSocket: Silent, ${name}: ${value} }); console.log("taken"); } catch (error) { console.log(error.message); }`,
  );
  const silent = "class Silent { close() {} }";
  for (const [file, from] of [
    ["judged.mjs", 'import { ResilientWebSocket } from "wsresilience";'],
    ["judged.cjs", 'const { ResilientWebSocket } = require("wsresilience");'],
    ["unjudged.mjs", 'import { ResilientWebSocket } from "./node_modules/wsresilience/dist/index.js";'],
  ]) {
    writeFileSync(join(consumer, file!), [from, silent, ...attempts, "process.exit();"].join("\n"));
    const { stdout } = await run(process.execPath, [file!], { cwd: consumer });
    const lines = stdout.trim().split("\n");
    assert.equal(lines.length, attempts.length, stdout);
    for (const [i, [, said]] of Object.values(wrong).entries()) {
      if (file === "unjudged.mjs") assert.doesNotMatch(lines[i]!, /option/);
      else assert.ok(lines[i]!.includes(said!), lines[i]);
    }
  }
});

test("a page without a bundler has all of it in one script", async () => {
  const code = readFileSync(join(installed, "dist/script.js"), "utf8");
  const { wsresilience } = new Function(`${code}; return { wsresilience };`)();
  assert.deepEqual(Object.keys(wsresilience).sort(), [
    "ResilientWebSocket",
    "customStore",
    "devices",
    "indexedDBStore",
    "keys",
    "messages",
    "tabs",
  ]);
  assert.equal(wsresilience.ResilientWebSocket.name, "ResilientWebSocket");
  assert.throws(
    () => new wsresilience.ResilientWebSocket("ws://a", [], { adpot: true }),
    /did you mean "adopt"/,
  );
});

/** Uses the types, each in a way that fails if it is not what it says. */
const TYPED = `
  import { ResilientWebSocket, type Options, type State } from "wsresilience";
  import { customStore, indexedDBStore, type Store } from "wsresilience/persist";
  import { tabs } from "wsresilience/share";
  import { keys, type Fate } from "wsresilience/keys";
  import { devices, type SynchronisedEvent } from "wsresilience/devices";
  import { messages } from "wsresilience/messages";
  import { useResilientWebSocket } from "wsresilience/react";
  const options: Options = { adopt: true, reconnectDelay: 5, persist: indexedDBStore("outbox") };
  const socket: WebSocket = new ResilientWebSocket("ws://localhost", ["a"], options);
  const resilient = new ResilientWebSocket(async () => new URL("ws://localhost"));
  resilient.addEventListener("resumed", ({ away }) => away.toFixed());
  resilient.onreset = ({ reason, unacknowledged }) => reason === "expired" && unacknowledged.length;
  const state: State = resilient.state;
  export async function loop(): Promise<void> {
    for await (const data of messages<string>(resilient)) data.trim();
    for await (const data of messages(socket)) if (typeof data === "number") return;
  }
  export function Hook(): string {
    return useResilientWebSocket("ws://localhost", { onMessage: (data: unknown) => data, adopt: true }).state;
  }
  export const shared: Options = { share: tabs("chat") };
  export const hears: Options = { share: devices() };
  export const synchronised = ({ mode, version }: SynchronisedEvent): boolean => mode === "log" && version > 7;
  export const own = (store: Store): Options => ({ persist: customStore(() => store) });
  export function used(): void {
    using own = new ResilientWebSocket(() => null, [], { signal: new AbortController().signal, logger: console });
    own.onconnectfailed = ({ delay }) => delay;
  }
  export const delivered: Promise<void> = resilient.deliver(state + socket.readyState);
  export const fate: Promise<Fate> = new ResilientWebSocket("ws://localhost", [], { keys: keys() }).deliver("order", { key: "4711" });
  // @ts-expect-error: a key is text
  resilient.deliver("order", { key: 4711 });
  // @ts-expect-error: that is no event of ours
  resilient.onresume = null;
  // @ts-expect-error: an option has no other type
  new ResilientWebSocket("ws://localhost", [], { newSessionAfterReset: 1 });
`;

/** The same for those who have no library of the DOM. */
const BARE = `
  import { ResilientWebSocket, type ResumedEvent, type Sendable } from "wsresilience";
  import { indexedDBStore } from "wsresilience/persist";
  import { tabs } from "wsresilience/share";
  const socket = new ResilientWebSocket("ws://localhost", ["a"], { persist: indexedDBStore("a"), share: tabs("b") });
  socket.onmessage = ({ data }) => data;
  socket.onclose = ({ code }) => code.toFixed();
  socket.addEventListener("resumed", ({ away }: ResumedEvent) => away.toFixed());
  socket.addEventListener("connectfailed", ({ attempt, delay }) => attempt + delay);
  export const say = (data: Sendable) => socket.send(data);
  // @ts-expect-error: the state is no number
  const state: number = socket.state;
`;

for (const [name, text, lib] of [
  ["with the DOM's library", TYPED, ["es2022", "esnext.disposable", "dom"]],
  ["without it", BARE, ["es2023"]],
] as const) {
  test(`ES modules and CommonJS compile against the declarations, ${name}`, async () => {
    const folder = join(consumer, name.replaceAll(/\W/g, ""));
    mkdirSync(folder);
    for (const file of ["typed.mts", "typed.cts"]) writeFileSync(join(folder, file), text);
    const compilerOptions = { module: "node16", strict: true, noEmit: true, lib, types: [] };
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ compilerOptions, files: ["typed.mts", "typed.cts"] }),
    );
    const compiler = join(modules, "typescript/bin/tsc");
    await run(process.execPath, [compiler, "-p", folder]).catch(({ stdout }) => assert.fail(stdout));
  });
}

test("the README lists every option with the default that the source tells", () => {
  const read = (file: string): string => readFileSync(join(sdk, file), "utf8");
  const [, members] = read("src/options.ts").match(/^export interface Options {\n(.*?)^}/ms)!;
  const options = [...members!.matchAll(/\/\*\*(.*?)\*\/\s+(\w+)\?:/gs)].map(([, comment, name]) => {
    const [, value] = comment!.replaceAll(/\s+\* |\s+/g, " ").match(/Default: ([^.]+)\./)!;
    return [name, value];
  });
  const [, table] = read("README.md").match(/^## Options$(.*?)^## /ms)!;
  const rows = [...table!.matchAll(/^\| `(\w+)` +\| (.*?) +\|/gm)].map(([, name, value]) => [name, value]);
  assert.ok(options.length > 0);
  assert.deepEqual(rows, options);
});
