const Socket = require("faye-websocket");
require("./node.cjs").on("upgrade", (request, socket, body) => {
  if (!Socket.isWebSocket(request)) {
    socket.destroy();
    return;
  }
  const ws = new Socket(request, socket, body, ["chat"]);
  ws.on("message", (event) => ws.send(event.data));
});
