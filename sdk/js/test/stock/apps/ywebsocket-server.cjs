const { createServer } = require("node:http");
const { buildSync } = require("esbuild");
const { WebSocketServer } = require("ws");
const { docs, setupWSConnection } = require("y-websocket/bin/utils");

const PAGE = `<!DOCTYPE html>
<html>
  <head><title>Shared text</title></head>
  <body><pre id="text"></pre><script src="/page.js"></script></body>
</html>`;

const SCRIPT = `
import * as Y from "yjs";
import { WebsocketProvider } from "y-websocket";
const doc = new Y.Doc();
new WebsocketProvider(location.origin.replace("http", "ws"), "text", doc, { disableBc: true });
const text = doc.getText("text");
text.observe(() => { document.getElementById("text").textContent = text.toString(); });
`;

const bundle = buildSync({
  stdin: { contents: SCRIPT, resolveDir: __dirname },
  bundle: true,
  write: false,
  format: "iife",
}).outputFiles[0].text;

const server = createServer((request, answer) => {
  const script = request.url === "/page.js";
  answer.setHeader("Content-Type", script ? "text/javascript" : "text/html; charset=utf-8");
  answer.end(script ? bundle : PAGE);
});
new WebSocketServer({ server }).on("connection", setupWSConnection);
let last = 0;
setInterval(() => {
  const text = docs.get("text")?.getText("text");
  const now = Math.floor(Date.now() / 50);
  for (last ||= now - 1; text && last < now; ) text.insert(text.length, `${++last}\n`);
}, 20);
server.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => process.exit());
