// A Socket.IO server with connection state recovery that answers each message
// with itself, or as many of its clients as are asked for. It speaks JSON lines:
//
//	node peer.mjs server 8080     {"ready":true}
//	node peer.mjs clients         in:  {"c":1,"connect":"127.0.0.1:8080"}, {"c":1,"n":5}
//	                              out: {"c":1,"is":"up"}, "resumed", "down" or "lost"; {"c":1,"n":5} for an answer
import { createInterface } from "node:readline";

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

async function server(port) {
  const { createServer } = await import("node:http");
  const { Server } = await import("socket.io");
  const http = createServer();
  const io = new Server(http, { serveClient: false, connectionStateRecovery: { maxDisconnectionDuration: 120_000 } });
  io.on("connection", (socket) => socket.on("say", (message) => socket.emit("said", message)));
  http.listen(Number(port), "127.0.0.1", () => say({ ready: true }));
  process.stdin.resume().on("end", () => process.exit(0));
}

async function clients() {
  const { io } = await import("socket.io-client");
  const sockets = new Map();
  const connect = (c, to) => {
    const socket = io(`ws://${to}`, { transports: ["websocket"], forceNew: true });
    let before = false;
    socket.on("connect", () => {
      if (before && !socket.recovered) say({ c, is: "lost" });
      say({ c, is: before && socket.recovered ? "resumed" : "up" });
      before = true;
    });
    socket.on("disconnect", () => say({ c, is: "down" }));
    socket.on("said", (message) => say({ c, n: message.n }));
    sockets.set(c, socket);
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const { c, connect: to, n } = JSON.parse(line);
    if (to) connect(c, to);
    else sockets.get(c).emit("say", { n, text: "abcdefghijklmnopqrstuvwxyzabcdef" });
  }
  process.exit(0);
}

await (process.argv[2] === "server" ? server(process.argv[3]) : clients());
