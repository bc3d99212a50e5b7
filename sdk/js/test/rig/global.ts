// A program that has a global WebSocket and passes none: sends what it is told, and prints what comes back.
import { ResilientWebSocket } from "../../src/index.ts";

const [url = "", ...messages] = process.argv.slice(2);
const socket = new ResilientWebSocket(url);
let missing = messages.length;
socket.onopen = () => {
  for (const message of messages) socket.send(message);
};
socket.onmessage = ({ data }) => {
  console.log(`${data} ${socket.resilient}`);
  if (--missing === 0) socket.close(1000);
};
