// The stock mqtt.js over the stock ws.
import mqtt from "mqtt";
import { obey, say, settings } from "./lines.mjs";

// The broker's patience is under test: this timer lets the library send its
// pings, and not conclude from a missing answer (its third call) that the
// broker is dead, which it would before the broker does.
const patient = {
  set(call, every) {
    let calls = 0;
    return setInterval(() => ++calls < 3 && call(), every);
  },
  clear: clearInterval,
};

const client = mqtt.connect(settings.url + "/mqtt", {
  clientId: "stock",
  keepalive: settings.ping ? (2 * settings.ping) / 1000 : 60, // seconds
  reconnectPeriod: 100,
  ...(settings.patient && { timerVariant: patient }),
});

let connected = 0;
client.on("connect", async () => {
  if (connected++) return say({ noticed: "connect again" });
  await client.subscribeAsync("echo", { qos: 1 });
  say({ ready: true });
});
for (const event of ["reconnect", "close", "disconnect", "offline", "error", "end"]) {
  client.on(event, (what) => say({ noticed: event, detail: String(what ?? "") }));
}
client.on("message", (topic, payload) => {
  const text = payload.toString();
  say(topic === "echo" ? { reply: text } : { topic, n: Number(text) });
});

obey({
  subscribe: ({ topic }) => client.subscribeAsync(topic, { qos: 1 }),
  unsubscribe: ({ topic }) => client.unsubscribeAsync(topic),
  request: ({ text }) => client.publishAsync("echo", text, { qos: 1 }),
});
