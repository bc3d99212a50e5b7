// An MQTT broker over WebSockets that knows nothing of wsresilience, and a page.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Aedes } from "aedes";
import { createWebSocketStream, WebSocketServer } from "ws";

const files = {
  "/": ["text/html; charset=utf-8", new URL("page.html", import.meta.url)],
  "/mqtt.js": ["text/javascript", new URL("dist/mqtt.min.js", import.meta.resolve("mqtt/package.json"))],
};
const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/kill") {
    response.end();
    setTimeout(() => process.exit(1), 50); // the answer first
    return;
  }
  const [type, file] = files[request.url] ?? [];
  response.writeHead(file ? 200 : 404, { "Content-Type": type ?? "text/plain" });
  response.end(file && readFileSync(file));
});

const broker = await Aedes.createBroker();
new WebSocketServer({ server, path: "/mqtt" }).on("connection", (socket, request) => {
  const stream = createWebSocketStream(socket);
  stream.on("error", () => {});
  broker.handle(stream, request);
});
server.listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? "127.0.0.1");
