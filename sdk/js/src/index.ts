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
export type { Data, Kept, OpenStore, Restored, Saved, Store } from "./store.ts";
