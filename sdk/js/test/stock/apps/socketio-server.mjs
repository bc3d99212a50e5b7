import { createServer } from "node:http";
import { Server } from "socket.io";

const PAGE = `<!DOCTYPE html>
<html>
  <head><title>Chat</title></head>
  <body>
    <ul id="messages"></ul>
    <script src="/socket.io/socket.io.js"></script>
    <script>
      const socket = io();
      const messages = document.getElementById("messages");
      socket.on("chat message", (message) => {
        const item = document.createElement("li");
        item.textContent = message;
        messages.appendChild(item);
      });
    </script>
  </body>
</html>`;

const server = createServer((_, answer) => {
  answer.setHeader("Content-Type", "text/html; charset=utf-8");
  answer.end(PAGE);
});
const io = new Server(server);
let last = 0;
setInterval(() => {
  const now = Math.floor(Date.now() / 50);
  for (last ||= now - 1; last < now; ) io.emit("chat message", `${++last}`);
}, 20);
server.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => io.close(() => process.exit()));
