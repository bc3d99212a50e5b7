const { server: Server } = require("websocket");
new Server({ httpServer: require("./node.cjs") }).on("request", (request) => {
  try {
    const socket = request.accept(request.requestedProtocols.includes("chat") ? "chat" : null, request.origin);
    socket.on("message", (m) => (m.type === "utf8" ? socket.sendUTF(m.utf8Data) : socket.sendBytes(m.binaryData)));
  } catch {
    request.socket.writable && request.reject(400);
  }
});
