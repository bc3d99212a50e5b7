export type {
  AdoptedEvent,
  AdoptReason,
  LostReason,
  RejectedEvent,
  ResetEvent,
  ResilientWebSocketEventMap,
  ResumedEvent,
  State,
  StateChangeEvent,
  Unacknowledged,
} from "./events.ts";
export type { Fresh, Options, Persistence, WebSocketConstructor } from "./options.ts";
export { ResilientWebSocket } from "./resilient-websocket.ts";
export type { Data } from "./store.ts";
