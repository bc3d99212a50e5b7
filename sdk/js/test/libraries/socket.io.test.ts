import { test } from "node:test";
import { Server as IOServer } from "socket.io";
import type { Socket } from "socket.io-client";
import { type Server, through } from "./scenario.ts";

declare const connect: (url: string) => Socket;

function ioServer(): Server {
  const seen: number[] = [];
  const io = new IOServer({ transports: ["websocket"] });
  io.on("connection", (socket) => socket.on("up", (n: number) => seen.push(n)));
  return { app: { attach: (server) => void io.attach(server) }, seen, say: (n) => io.emit("down", n) };
}

test("socket.io misses no event through cuts", () =>
  through("socket.io.ts", ioServer(), (url) => {
    const socket = connect(url);
    globalThis.subject = { seen: [], lost: 0, ready: false, say: (n) => socket.emit("up", n) };
    socket.on("disconnect", () => subject.lost++);
    socket.io.on("reconnect_attempt", () => subject.lost++);
    socket.on("down", (n: number) => subject.seen.push(n));
    socket.on("connect", () => {
      subject.ready = true;
    });
  }));
