import { test } from "node:test";
import { Aedes } from "aedes";
import type { MqttClient } from "mqtt";
import { createWebSocketStream, WebSocketServer } from "ws";
import { type Server, through } from "./scenario.ts";

declare const connect: (url: string) => MqttClient;

async function broker(): Promise<Server> {
  const aedes = await Aedes.createBroker();
  const seen: number[] = [];
  aedes.on("publish", ({ topic, payload }) => {
    if (topic === "up") seen.push(Number(payload.toString()));
  });
  const say = (n: number) => {
    const payload = Buffer.from(String(n));
    aedes.publish({ cmd: "publish", topic: "down", payload, qos: 0, retain: false, dup: false }, () => {});
  };
  return {
    app: {
      attach: (server) => {
        new WebSocketServer({ server }).on("connection", (ws, request) => {
          aedes.handle(createWebSocketStream(ws), request);
        });
      },
    },
    seen,
    say,
    close: () => new Promise<void>((resolve) => aedes.close(resolve)),
  };
}

test("mqtt at quality of service 0 misses nothing through cuts", async () =>
  through("mqtt.ts", await broker(), (url) => {
    const client = connect(url);
    globalThis.subject = { seen: [], lost: 0, ready: false, say: (n) => client.publish("up", String(n)) };
    client.on("close", () => subject.lost++);
    client.on("message", (_, payload) => subject.seen.push(Number(payload.toString())));
    client.subscribe("down", () => {
      subject.ready = true;
    });
  }));
