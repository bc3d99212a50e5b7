// As many clients of AnyCable as are asked for, each with a channel of its own. It
// speaks JSON lines:
//
//	in:  {"c":1,"connect":"127.0.0.1:8080"}, {"c":1,"n":5}
//	out: {"c":1,"is":"up"}, "resumed", "down" or "lost"; {"c":1,"n":5} for an answer
import { createInterface } from "node:readline";
import { Channel, createCable } from "@anycable/core";
import WebSocket from "ws";

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

class Own extends Channel {
  static identifier = "Own";
}

const channels = new Map();

function connect(c, to) {
  const cable = createCable(`ws://${to}/cable`, {
    protocol: "actioncable-v1-ext-json",
    websocketImplementation: WebSocket,
    logLevel: "error",
  });
  const channel = new Own({ c });
  let before = false;
  channel.on("connect", ({ reconnect, restored }) => {
    if (before && reconnect && !restored) say({ c, is: "lost" });
    say({ c, is: before && restored ? "resumed" : "up" });
    before = true;
  });
  cable.on("disconnect", () => say({ c, is: "down" })); // a channel that is restored hears nothing of it
  channel.on("message", (message) => say({ c, n: message.n }));
  cable.subscribe(channel);
  channels.set(c, channel);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { c, connect: to, n } = JSON.parse(line);
  if (to) connect(c, to);
  else channels.get(c).perform("say", { n, text: "abcdefghijklmnopqrstuvwxyzabcdef" }).catch(() => {}); // without a connection it refuses
}
process.exit(0);
