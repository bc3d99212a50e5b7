import { ResilientWebSocket } from "wsresilience";
import { WebsocketProvider } from "y-websocket";
import { Doc } from "yjs";

/** Shares a document. Edits that were made in a tunnel arrive when it ends, without a sync of the document. */
export function share(url: string, room: string): { doc: Doc; provider: WebsocketProvider } {
  const doc = new Doc();
  const provider = new WebsocketProvider(url, room, doc, { WebSocketPolyfill: ResilientWebSocket });
  return { doc, provider };
}
