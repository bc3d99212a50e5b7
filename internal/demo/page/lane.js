// One of the two clients, with all that is counted of it.

import { Count } from "./count.js";
import { Tape } from "./tape.js";

/** Milliseconds of messages that are produced at most when the page wakes from a sleep. */
const LONGEST_CATCH_UP = 60_000;

export class Lane {
  tape = new Tape();
  connected = false;
  rate; // messages a second, each way
  over = ""; // why it will never be again
  comebacks = 0;
  adoptions = 0;
  worst = 0; // milliseconds without a message
  sent = 0;
  pod = "";
  unsent = 0;
  incoming = { received: 0, lost: 0, duplicated: 0, reordered: 0, gone: 0, repeated: 0 };
  #name;
  #tell;
  #client;
  #count;
  #epoch = 0; // when the first message was due
  #heard = 0;
  #lost = 0;
  #typed;
  #missing = 0; // of what the app said, and was typed as such

  /** `open(name, on)` makes the client. `tell(text)` adds to the story. `typed` shows what comes. */
  constructor(name, open, visit, tell, typed) {
    this.#name = name;
    this.#tell = tell;
    this.#typed = typed;
    this.rate = visit.rate;
    this.#count = new Count(this.resilient ? visit.lastWords : 0);
    this.#client = open(name, {
      up: () => this.#up(),
      down: () => this.#down(),
      message: (text) => this.#message(text),
      adopted: (reason) => this.#adopted(reason),
      over: (why) => this.#end(why),
    });
  }

  close() {
    this.#client.close();
  }

  /** Sends what is due by the clock, so that a timer that comes late changes nothing. */
  produce(now) {
    if (this.#epoch === 0 || this.over) {
      return;
    }
    const due = Math.floor(((now - this.#epoch) * this.rate) / 1000) - this.sent;
    const most = (LONGEST_CATCH_UP * this.rate) / 1000;
    if (due > most) {
      this.#epoch += ((due - most) * 1000) / this.rate; // those were never made
    }
    for (let i = 0; i < Math.min(due, most); i++) {
      try {
        this.#client.send(String(this.sent + 1));
      } catch {
        return; // the outbox is full: it is tried again with the next tick
      }
      this.sent++;
    }
  }

  /** Takes what the server knows of this client. */
  learn(picture, now) {
    this.tape.up(now, picture.in.received - this.incoming.received);
    this.incoming = picture.in;
    this.pod = picture.pod;
    this.unsent = picture.unsent;
    this.#count.learn(picture.lives);
    const { lost } = this.totals;
    if (lost > this.#lost) {
      this.tape.lost(now, lost - this.#lost);
      this.#tell(`${this.#name}: ${lost - this.#lost} lost`, "loss");
    }
    this.#lost = Math.max(lost, this.#lost);
    this.#type(0);
  }

  get resilient() {
    return this.#name === "resilient";
  }

  /** Both directions together. */
  get totals() {
    const came = this.#count.total;
    const { incoming } = this;
    return {
      lost: came.lost + incoming.lost,
      lostDown: came.lost,
      lostUp: incoming.lost,
      duplicated: came.duplicated + incoming.duplicated,
      reordered: came.reordered + incoming.reordered,
      gone: came.gone + incoming.gone,
      repeated: incoming.repeated,
      received: came.received,
      never: came.lost + incoming.lost + came.gone + incoming.gone + this.unsent,
      neverDown: came.lost + came.gone + this.unsent,
      waiting: Math.max(0, this.sent - incoming.received - incoming.lost - incoming.gone),
    };
  }

  /** The longest time without a message, up to now. */
  worstGap(now) {
    return Math.max(this.worst, this.silence(now));
  }

  /** How long no message has come. */
  silence(now) {
    return this.#heard === 0 ? 0 : now - this.#heard;
  }

  #message(text) {
    const now = performance.now();
    this.worst = this.worstGap(now);
    this.#heard = now;
    this.#count.hear(text);
    this.tape.down(now);
    this.#type(1);
  }

  /** Types what came, behind what is known to be missing by now. */
  #type(came) {
    const missing = this.totals.neverDown;
    this.#typed?.never(missing - this.#missing);
    this.#missing = missing;
    this.#typed?.came(came);
  }

  #up() {
    if (this.#epoch === 0) {
      this.#epoch = performance.now();
      this.connected = true;
      return;
    }
    this.comebacks++;
    this.#back("back", this.resilient ? "resumed" : "connected again");
  }

  #adopted(reason) {
    this.adoptions++;
    this.#back("adopted", `adopted, a new app socket (${reason.replaceAll("_", " ")}),`);
  }

  #back(kind, what) {
    const now = performance.now();
    const lasted = this.connected ? "and the connection held" : `after ${(this.silence(now) / 1000).toFixed(2)} s`;
    this.connected = true;
    this.tape.end(now);
    this.tape.mark(now, kind);
    this.#tell(`${this.#name}: ${what} ${lasted}`, "back");
  }

  #down() {
    this.connected = false;
    this.tape.begin(this.#heard); // nothing has come since, though that was not known
  }

  #end(why) {
    this.#down();
    this.over = why;
    this.#tell(`${this.#name}: the session is over: ${why}`, "loss");
  }
}
