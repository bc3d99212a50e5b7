// An aedes broker over WebSocket, all in memory.
import { createServer } from "node:http";
import { Aedes } from "aedes";
import { createWebSocketStream, WebSocketServer } from "ws";
import { obey, say, settings } from "./lines.mjs";

const broker = await Aedes.createBroker();
const http = createServer((_, answer) => answer.end("ok"));
const sockets = new WebSocketServer({ server: http, path: "/mqtt" });
sockets.on("connection", (socket, request) => {
  const stream = createWebSocketStream(socket);
  stream.on("error", () => {}); // the broker hears of it too
  broker.handle(stream, request);
});

const subscribers = new Map(); // topic to the ids of clients
const of = (topic) => subscribers.get(topic) ?? subscribers.set(topic, new Set()).get(topic);
broker.on("subscribe", (list, client) => list.forEach(({ topic }) => of(topic).add(client.id)));
broker.on("unsubscribe", (topics, client) => topics.forEach((topic) => of(topic).delete(client.id)));
broker.on("clientDisconnect", (client) => {
  for (const ids of subscribers.values()) ids.delete(client.id);
  say({ gone: "disconnect" });
});
broker.on("keepaliveTimeout", () => say({ gone: "keepalive" }));
broker.on("clientError", (_, err) => say({ gone: String(err) }));
broker.on("connectionError", (_, err) => say({ gone: String(err) }));
http.listen(settings.port, "127.0.0.1", () => say({ ready: true }));

obey({
  publish({ n, topics }) {
    for (const topic of topics) {
      broker.publish({ cmd: "publish", topic, payload: Buffer.from(String(n)), qos: 1, retain: false }, () => {});
    }
  },
  topics({ topics }) {
    say({ topics: Object.fromEntries(topics.map((t) => [t, of(t).size])) });
  },
});

process.on("SIGTERM", () => {
  for (const socket of sockets.clients) socket.close(1001);
  setTimeout(() => process.exit(0), 200);
});
