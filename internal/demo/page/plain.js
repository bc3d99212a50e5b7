// An ordinary client, as well as such clients are written: it connects again
// after a break, with backoff, and sends then what it could not send before.
// It cannot know which of the messages that it did send have arrived.

/** Milliseconds without a message after which a connection is taken for dead: half open, it would never end. */
const PATIENCE = 2000;

/** Milliseconds that an attempt to connect may take. */
const CONNECT_TIMEOUT = 4000;

/** Milliseconds between attempts: the first wait, which doubles up to the longest. More is too long to watch. */
const BACKOFF_BASE = 250;
const BACKOFF_MAX = 1000;

/** The share by which a wait is shorter or longer, so that clients do not come back together. */
const JITTER = 0.25;

/** Messages that wait for a connection; more are dropped. */
const QUEUE = 16384;

export class PlainClient {
  #url;
  #on;
  #socket = null;
  #queue = [];
  #wait = BACKOFF_BASE;
  #deadline = 0;

  /** `on` is told of `up()`, `down()` and `message(text)`. */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    this.#connect();
  }

  send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(text);
    } else if (this.#queue.length < QUEUE) {
      this.#queue.push(text);
    }
  }

  close() {
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#expect(CONNECT_TIMEOUT);
    socket.onopen = () => this.#mine(socket, () => this.#opened());
    socket.onmessage = (event) => this.#mine(socket, () => this.#heard(event.data));
    socket.onclose = () => this.#mine(socket, () => this.#lost());
  }

  /** What an abandoned socket still says is dropped. */
  #mine(socket, act) {
    if (this.#socket === socket) {
      act();
    }
  }

  #opened() {
    this.#wait = BACKOFF_BASE;
    this.#expect(PATIENCE);
    this.#on.up();
    for (const text of this.#queue.splice(0)) {
      this.#socket.send(text);
    }
  }

  #heard(text) {
    this.#expect(PATIENCE);
    this.#on.message(text);
  }

  #expect(within) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#lost(), within);
  }

  #lost() {
    const opened = this.#socket?.readyState !== WebSocket.CONNECTING;
    this.close();
    if (opened) {
      this.#on.down();
    }
    setTimeout(() => this.#connect(), this.#wait * (1 + JITTER * (2 * Math.random() - 1)));
    this.#wait = Math.min(2 * this.#wait, BACKOFF_MAX);
  }
}
