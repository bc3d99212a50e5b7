import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { renderGraphiQL } from "@graphql-yoga/render-graphiql";
import { useServer } from "graphql-ws/use/ws";
import { createSchema, createYoga } from "graphql-yoga";
import { WebSocketServer } from "ws";

async function* ticks() {
  for (let last = Math.floor(Date.now() / 50); ; await sleep(20)) {
    for (const now = Math.floor(Date.now() / 50); last < now; ) yield { tick: ++last };
  }
}

const schema = createSchema({
  typeDefs: "type Query { now: Float } type Subscription { tick: Float }",
  resolvers: { Query: { now: () => Date.now() }, Subscription: { tick: { subscribe: ticks } } },
});
const yoga = createYoga({
  schema,
  renderGraphiQL,
  graphiql: { subscriptionsProtocol: "WS" },
  logging: false,
});
const server = createServer(yoga);
useServer({ schema }, new WebSocketServer({ server, path: yoga.graphqlEndpoint }));
server.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => process.exit());
