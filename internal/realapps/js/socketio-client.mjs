// The stock socket.io client, on WebSocket alone.
import { io } from "socket.io-client";
import { obey, say, settings } from "./lines.mjs";

const socket = io(settings.url, { transports: ["websocket"], reconnectionDelay: 100, autoConnect: false });

let connected = 0;
socket.on("connect", () => say(connected++ ? { noticed: "connect again" } : { ready: true }));
socket.on("disconnect", (reason) => say({ noticed: "disconnect", detail: reason }));
socket.on("connect_error", (err) => say({ noticed: "connect_error", detail: String(err) }));
for (const event of ["error", "reconnect", "reconnect_attempt", "reconnect_error", "reconnect_failed"]) {
  socket.io.on(event, (what) => say({ noticed: event, detail: String(what ?? "") }));
}
socket.on("event", (topic, n) => say({ topic, n }));
socket.connect();
if (settings.patient) {
  // The server's patience is under test. The client, which is told the same
  // numbers, would otherwise give up first.
  socket.io.engine.on("handshake", (data) => {
    data.pingTimeout = 60_000;
  });
}

obey({
  subscribe: ({ topic }) => void socket.emit("subscribe", topic),
  unsubscribe: ({ topic }) => void socket.emit("unsubscribe", topic),
  request: async ({ text }) => say({ reply: await socket.emitWithAck("echo", text) }),
});
