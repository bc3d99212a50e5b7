import { io, type Socket, WebSocket } from "socket.io-client";
import { ResilientWebSocket } from "wsresilience";

/** The WebSocket transport of engine.io over a socket that outlives its connections. */
class Resilient extends WebSocket {
  override createSocket(url: string, protocols?: string | string[]): ResilientWebSocket {
    return new ResilientWebSocket(url, protocols);
  }
}

/**
 * A Socket.IO client that does not notice when the network goes for less than the server's `pingInterval` +
 * `pingTimeout`. The sidecar's preset is `socket.io` (WSR_APP_PROTOCOL).
 */
export function connect(url: string): Socket {
  return io(url, { transports: [Resilient] });
}
