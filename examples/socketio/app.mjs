// A Socket.IO server that knows nothing of wsresilience: it answers each number.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Server } from "socket.io";

const page = readFileSync(new URL("page.html", import.meta.url));
const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/kill") {
    response.end();
    setTimeout(() => process.exit(1), 50); // the answer first
    return;
  }
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.end(page);
});

// It serves its own client at /socket.io/socket.io.min.js.
new Server(server).on("connection", (socket) => {
  socket.on("number", (n) => socket.emit("number", n));
});
server.listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? "127.0.0.1");
