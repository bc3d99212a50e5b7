// A client of single-server.mjs over the stock ws.
import { WebSocket } from "ws";
import { obey, say, settings } from "./lines.mjs";

const socket = new WebSocket(settings.url + "/single");
socket.on("open", () => socket.send(JSON.stringify({ user: "stock" })));
socket.on("message", (data) => {
  const { welcome, reply, topic, n } = JSON.parse(data);
  if (welcome) return say({ ready: true });
  say(reply ? { reply } : { topic, n });
});
socket.on("close", (code) => say({ noticed: "close", detail: String(code) }));
socket.on("error", (err) => say({ noticed: "error", detail: String(err) }));

obey({
  request: ({ text }) => socket.send(JSON.stringify({ request: text })),
});
