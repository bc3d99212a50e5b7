const { WebSocketServer } = require("ws");
const sockets = new WebSocketServer({ server: require("./node.cjs"), path: "/ws", perMessageDeflate: true });
sockets.on("connection", (socket) => {
  socket.on("message", (data, binary) => socket.send(data, { binary }));
  socket.on("error", () => {});
});
