// A graphql-ws server as its documentation shows it.
import { EventEmitter, on } from "node:events";
import { createServer } from "node:http";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";
import { obey, say, settings } from "./lines.mjs";

const bus = new EventEmitter().setMaxListeners(0);

const schema = buildSchema(`
  type Query { echo(text: String!): String! }
  type Subscription { events(topic: String!): Int! }
`);

function events({ topic }) {
  const source = on(bus, topic);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      const { value, done } = await source.next();
      return { value: value && { events: value[0] }, done };
    },
    return: () => source.return(),
  };
}

const http = createServer((_, answer) => answer.end("ok"));
const sockets = new WebSocketServer({ server: http, path: "/graphql" });
const graphql = useServer(
  {
    schema,
    roots: { query: { echo: ({ text }) => text }, subscription: { events } },
    onClose: (_, code) => say({ gone: String(code) }),
  },
  sockets,
  settings.ping, // WebSocket pings; a peer without pong is terminated
);
http.listen(settings.port, "127.0.0.1", () => say({ ready: true }));

obey({
  publish({ n, topics }) {
    for (const topic of topics) bus.emit(topic, n);
  },
  topics({ topics }) {
    say({ topics: Object.fromEntries(topics.map((t) => [t, bus.listenerCount(t)])) });
  },
});

process.on("SIGTERM", async () => {
  await graphql.dispose(); // closes every socket with 1001
  process.exit(0);
});
