export type {
  AdoptedEvent,
  AdoptReason,
  LostReason,
  ResetEvent,
  ResilientWebSocketEventMap,
  ResumedEvent,
  State,
  StateChangeEvent,
  Unacknowledged,
} from "./events.ts";
export type { Fresh, Options, WebSocketConstructor } from "./options.ts";
export { ResilientWebSocket } from "./resilient-websocket.ts";
export type { Data, OpenStore, Restored, Saved, SavedMessage, Store } from "./store.ts";
