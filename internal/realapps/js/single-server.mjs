// An app over the stock ws that allows one connection per user: the newest. It
// knows the user by the first message, and pushes every event to whoever is in.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { obey, say, settings } from "./lines.mjs";

const users = new Map(); // name to socket
const http = createServer((_, answer) => answer.end("ok"));
const sockets = new WebSocketServer({ server: http });
sockets.on("connection", (socket) => {
  let name = "";
  socket.on("message", (data) => {
    const { user, request } = JSON.parse(data);
    if (user) {
      users.get(user)?.close(4001, "another connection has taken the place");
      name = user;
      users.set(name, socket);
      return socket.send(JSON.stringify({ welcome: name }));
    }
    socket.send(JSON.stringify({ reply: request }));
  });
  socket.on("close", (code) => {
    if (users.get(name) === socket) users.delete(name);
    say({ gone: String(code) });
  });
});
http.listen(settings.port, "127.0.0.1", () => say({ ready: true }));

obey({
  publish({ n, topics }) {
    for (const socket of users.values()) {
      for (const topic of topics) socket.send(JSON.stringify({ topic, n }));
    }
  },
  topics({ topics }) {
    say({ topics: Object.fromEntries(topics.map((t) => [t, users.size])) });
  },
});
