// The same with a ResilientWebSocket, which needs no queue, no backoff and no
// watch over the connection around it.

import { ResilientWebSocket } from "./wsresilience.js";

/** The app's socket may be replaced: there is nothing to restore. The longest waits are those of the plain client. */
const options = { adopt: true, maxReconnectDelay: 1000, connectTimeout: 4000 };

export class ResilientClient {
  #socket;

  /** `on` is told of `up()`, `down()`, `message(text)`, `adopted(reason)` and `over(why)`. */
  constructor(url, on) {
    const socket = new ResilientWebSocket(url, [], options);
    this.#socket = socket;
    let why = "";
    socket.onopen = () => on.up();
    socket.onmessage = (event) => on.message(event.data);
    socket.onresumed = () => on.up();
    socket.onadopted = (event) => on.adopted(event.reason);
    socket.onreset = (event) => (why = event.reason);
    socket.onclose = (event) => on.over(why || `closed with ${event.code}`);
    socket.onstatechange = (event) => event.state === "reconnecting" && on.down();
  }

  send(text) {
    this.#socket.send(text);
  }

  close() {
    this.#socket.close();
  }
}
