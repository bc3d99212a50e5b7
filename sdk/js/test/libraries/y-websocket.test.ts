import { test } from "node:test";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { WebSocketServer } from "ws";
import { readSyncMessage, writeSyncStep1, writeUpdate } from "y-protocols/sync";
import type { WebsocketProvider } from "y-websocket";
import { Doc } from "yjs";
import { type Server, through } from "./scenario.ts";

declare const share: (url: string, room: string) => { doc: Doc; provider: WebsocketProvider };

/** The kind of y-websocket's messages that synchronise a document. */
const SYNC = 0;

/** A document that y-websocket's clients edit with us. */
function documentServer(): Server {
  const doc = new Doc();
  const seen: number[] = [];
  const sockets = new WebSocketServer({ noServer: true });
  const message = (write: (encoder: encoding.Encoder) => void): Uint8Array => {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, SYNC);
    write(encoder);
    return encoding.toUint8Array(encoder);
  };
  doc.on("update", (update: Uint8Array, origin: unknown) => {
    for (const ws of sockets.clients) if (ws !== origin) ws.send(message((e) => writeUpdate(e, update)));
  });
  doc.getArray<number>("up").observe((event) => {
    for (const { insert } of event.changes.delta)
      if (Array.isArray(insert)) seen.push(...(insert as number[]));
  });
  sockets.on("connection", (ws) => {
    ws.send(message((e) => writeSyncStep1(e, doc)));
    ws.on("message", (data: Buffer) => {
      const decoder = decoding.createDecoder(new Uint8Array(data));
      if (decoding.readVarUint(decoder) !== SYNC) return;
      const answer = message((e) => readSyncMessage(decoder, e, doc, ws));
      if (answer.length > 1) ws.send(answer);
    });
  });
  return {
    app: {
      attach: (server) => {
        server.on("upgrade", (request, socket, head) => {
          sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit("connection", ws));
        });
      },
    },
    seen,
    say: (n) => doc.getArray("down").push([n]),
  };
}

test("a document that both sides edit through cuts converges, and is never synchronised again", () =>
  through("y-websocket.ts", documentServer(), (url) => {
    const { doc, provider } = share(url, "room");
    globalThis.subject = { seen: [], lost: 0, ready: false, say: (n) => doc.getArray("up").push([n]) };
    provider.on("connection-close", () => subject.lost++);
    provider.on("sync", () => {
      subject.ready = true;
    });
    doc.getArray<number>("down").observe((event) => {
      for (const { insert } of event.changes.delta) if (Array.isArray(insert)) subject.seen.push(...insert);
    });
  }));
