export type {
  AdoptedEvent,
  AdoptReason,
  ConnectFailedEvent,
  LostReason,
  RejectedEvent,
  ResetEvent,
  ResilientWebSocketEventMap,
  ResumedEvent,
  State,
  StateChangeEvent,
  Unacknowledged,
} from "./events.ts";
export type {
  DeliverOptions,
  Fate,
  Fresh,
  Keying,
  Logger,
  Options,
  Persistence,
  Sendable,
  Sharing,
  WebSocketConstructor,
} from "./options.ts";
export { ResilientWebSocket } from "./resilient-websocket.ts";
export type { Data } from "./store.ts";
