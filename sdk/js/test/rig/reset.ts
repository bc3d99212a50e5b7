import type { Socket } from "node:net";

/**
 * Ends a connection with RST. One whose end was said already is closed instead: libuv refuses to reset it, and
 * Node then keeps its handle for ever.
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
