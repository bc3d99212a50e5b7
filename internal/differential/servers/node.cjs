// An HTTP server of Node; ws.cjs, websocket.cjs and faye.cjs add theirs.
const http = require("node:http");
const server = http.createServer({ keepAliveTimeout: 30000 }, (request, response) => {
  if (!request.url.startsWith("/echo")) {
    response.statusCode = request.url === "/" ? 200 : 404;
    response.end("a page\n");
    return;
  }
  const pieces = [];
  request.on("data", (p) => pieces.push(p));
  request.on("end", () => response.end(Buffer.concat(pieces)));
});
module.exports = server;
server.listen(Number(process.argv[2]), "127.0.0.1");
