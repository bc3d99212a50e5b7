// The stock graphql-ws client over the stock ws.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { obey, say, settings } from "./lines.mjs";

let connected = 0;
const client = createClient({
  url: settings.url + "/graphql",
  webSocketImpl: WebSocket,
  lazy: false,
  keepAlive: settings.ping,
  retryAttempts: 100,
  shouldRetry: () => true,
  onNonLazyError: (err) => say({ noticed: "error", detail: String(err?.reason ?? err) }),
  on: {
    connected: () => say(connected++ ? { noticed: "connected again" } : { ready: true }),
    closed: (event) => say({ noticed: "closed", detail: `${event.code} ${event.reason}` }),
    error: (err) => say({ noticed: "error", detail: String(err) }),
  },
});

const stops = new Map();
obey({
  subscribe({ topic }) {
    const stop = client.subscribe(
      { query: "subscription ($topic: String!) { events(topic: $topic) }", variables: { topic } },
      {
        next: ({ data }) => say({ topic, n: data.events }),
        error: (err) => say({ noticed: "subscription error", detail: JSON.stringify(err) }),
        complete: () => stops.has(topic) && say({ noticed: "subscription completed", detail: topic }),
      },
    );
    stops.set(topic, stop);
  },
  unsubscribe({ topic }) {
    const stop = stops.get(topic);
    stops.delete(topic);
    stop();
  },
  request({ text }) {
    client.subscribe(
      { query: "query ($text: String!) { echo(text: $text) }", variables: { text } },
      { next: ({ data }) => say({ reply: data.echo }), error: (err) => say({ failed: JSON.stringify(err) }), complete() {} },
    );
  },
});
