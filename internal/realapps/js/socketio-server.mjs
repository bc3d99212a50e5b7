// A socket.io server whose clients join and leave rooms.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { obey, say, settings } from "./lines.mjs";

const http = createServer((_, answer) => answer.end("ok"));
// Without settings the server keeps its own: 25 s and 20 s.
const patience = settings.ping ? { pingInterval: settings.ping, pingTimeout: 2 * settings.ping } : {};
const io = new Server(http, { serveClient: false, ...patience });

io.on("connection", (socket) => {
  socket.on("subscribe", (topic) => socket.join(topic));
  socket.on("unsubscribe", (topic) => socket.leave(topic));
  socket.on("echo", (text, ack) => ack(text));
  socket.on("disconnect", (reason) => say({ gone: reason }));
});
http.listen(settings.port, "127.0.0.1", () => say({ ready: true }));

obey({
  publish({ n, topics }) {
    for (const topic of topics) io.to(topic).emit("event", topic, n);
  },
  topics({ topics }) {
    const size = (topic) => io.sockets.adapter.rooms.get(topic)?.size ?? 0;
    say({ topics: Object.fromEntries(topics.map((t) => [t, size(t)])) });
  },
});

process.on("SIGTERM", async () => {
  await io.close();
  process.exit(0);
});
