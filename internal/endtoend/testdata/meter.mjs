// A program as there are many: it knows ws from npm, asks something again and again, asks again what was not
// answered, and connects anew when its connection ends. It knows nothing of sessions or agents.
import { createRequire } from "node:module";

const { WebSocket } = createRequire(process.env.WS_FROM)("ws");
const total = Number(process.env.TOTAL);
let next = 1;
let connections = 0;

function connect() {
  const socket = new WebSocket(process.env.URL);
  let timer;
  const ask = () => {
    clearTimeout(timer);
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(`reading ${next}`);
      timer = setTimeout(ask, 5000);
    }
  };
  socket.on("open", () => {
    console.log(`connection ${++connections}`);
    ask();
  });
  socket.on("message", (data) => {
    if (`${data}` === `reading ${next}`) {
      console.log(`answer ${next}`);
      if (next++ === total) {
        socket.close(1000);
        return;
      }
      setTimeout(ask, 15);
    }
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    clearTimeout(timer);
    if (next <= total) setTimeout(connect, 200);
  });
}

connect();
