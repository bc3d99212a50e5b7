import { test } from "node:test";
import { GraphQLInt, GraphQLObjectType, GraphQLSchema } from "graphql";
import type { Client } from "graphql-ws";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";
import { type Server, through } from "./scenario.ts";

declare const connect: (url: string) => Client;

/** Values that somebody waits for. */
class Queue {
  #values: number[] = [];
  #wake = () => {};
  push(n: number): void {
    this.#values.push(n);
    this.#wake();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<{ count: number }> {
    for (;;) {
      for (let n: number | undefined; (n = this.#values.shift()) !== undefined; ) yield { count: n };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function graphqlServer(): Server {
  const queue = new Queue();
  const seen: number[] = [];
  const int = { type: GraphQLInt };
  const schema = new GraphQLSchema({
    query: new GraphQLObjectType({ name: "Query", fields: { none: int } }),
    mutation: new GraphQLObjectType({
      name: "Mutation",
      fields: { say: { ...int, args: { n: int }, resolve: (_, { n }: { n: number }) => seen.push(n) } },
    }),
    subscription: new GraphQLObjectType({
      name: "Subscription",
      fields: { count: { ...int, subscribe: () => queue[Symbol.asyncIterator]() } },
    }),
  });
  return {
    app: { attach: (server) => void useServer({ schema }, new WebSocketServer({ server })) },
    seen,
    say: (n) => queue.push(n),
  };
}

test("a subscription of graphql-ws counts through cuts", () =>
  through("graphql-ws.ts", graphqlServer(), (url) => {
    const client = connect(url);
    const sink = { error: () => {}, complete: () => {} };
    const say = (n: number) => {
      client.subscribe({ query: `mutation { say(n: ${n}) }` }, { ...sink, next: () => {} });
    };
    globalThis.subject = { seen: [], lost: 0, ready: false, say };
    client.on("closed", () => subject.lost++);
    client.on("connected", () => {
      subject.ready = true;
    });
    const next = ({ data }: { data?: { count?: unknown } | null }) => subject.seen.push(Number(data?.count));
    client.subscribe({ query: "subscription { count }" }, { ...sink, next });
  }));
