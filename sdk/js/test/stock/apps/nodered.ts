// The editor of Node-RED, whose sidebar lists what a flow says.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../rig/process.ts";
import { folder, noted, noteNumbers, run, type StockApp } from "../app.ts";

const FLOW = [
  { id: "tab", type: "tab", label: "numbers" },
  {
    id: "tick",
    type: "inject",
    z: "tab",
    repeat: "0.05",
    once: true,
    onceDelay: 0.1,
    props: [{ p: "payload" }],
    payload: "",
    payloadType: "date",
    x: 100,
    y: 80,
    wires: [["count"]],
  },
  {
    id: "count",
    type: "function",
    z: "tab",
    func: "const now = Math.floor(Date.now() / 50);\nlet last = context.get('last') || now - 1;\nwhile (last < now) node.send({ payload: ++last });\ncontext.set('last', last);",
    outputs: 1,
    x: 300,
    y: 80,
    wires: [["show"]],
  },
  {
    id: "show",
    type: "debug",
    z: "tab",
    active: true,
    tosidebar: true,
    complete: "payload",
    targetType: "msg",
    x: 500,
    y: 80,
    wires: [],
  },
];

const SETTINGS = `module.exports = { editorTheme: { tours: false }, telemetry: { enabled: false, updateNotification: false }, flowFile: "flows.json", diagnostics: { enabled: false } };`;

export const nodered: StockApp = {
  name: "Node-RED",
  start: (port) => {
    const home = temporaryFolder();
    writeFileSync(join(home, "flows.json"), JSON.stringify(FLOW));
    writeFileSync(join(home, "settings.js"), SETTINGS);
    const main = join(folder, "node_modules/node-red/red.js");
    return run(process.execPath, [main, "-u", home, "-p", `${port}`, "-s", join(home, "settings.js")], port, {
      HOME: home,
    });
  },
  visit: async (page, origin) => {
    await noteNumbers(page, '"msg":"(\\d+)"');
    await page.goto(origin);
    await page.waitForSelector(".red-ui-workspace-chart-event-layer, #red-ui-workspace-chart", {
      timeout: 60_000,
    });
    await page.keyboard.press("Control+g");
    await page.keyboard.press("d");
  },
  seen: noted,
};
