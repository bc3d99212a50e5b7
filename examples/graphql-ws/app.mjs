// A GraphQL server with a subscription, which knows nothing of wsresilience.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

const number = { type: new GraphQLNonNull(GraphQLInt) };
const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: "Query", fields: { echo: { ...number, args: { n: number }, resolve: (_, { n }) => n } } }),
  subscription: new GraphQLObjectType({
    name: "Subscription",
    fields: {
      seconds: {
        ...number,
        resolve: (n) => n,
        subscribe: async function* () {
          for (let n = 1; ; n++) {
            yield n;
            await new Promise((resolve) => setTimeout(resolve, 1000));
          }
        },
      },
    },
  }),
});

const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/kill") {
    response.end();
    setTimeout(() => process.exit(1), 50); // the answer first
    return;
  }
  const module = /^\/graphql-ws\/([\w-]+\.js)$/.exec(request.url)?.[1];
  const file = module ? new URL(module, import.meta.resolve("graphql-ws")) : new URL("page.html", import.meta.url);
  response.setHeader("Content-Type", module ? "text/javascript" : "text/html; charset=utf-8");
  response.end(readFileSync(file));
});
useServer({ schema }, new WebSocketServer({ server, path: "/graphql" }));
server.listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? "127.0.0.1");
