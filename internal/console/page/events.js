// What happens, as it happens.

import { follow } from "./ask.js";
import { element } from "./element.js";
import { table } from "./table.js";
import { brief, clock, count } from "./words.js";

const COLUMNS = [
  { name: "at", class: "id", of: (e) => clock(e.at) },
  { name: "what", class: "wide", of: (e) => e.text },
  { name: "session", class: "id", of: (e) => (e.session === undefined ? "" : brief(e.session)) },
  { name: "path", class: "wide", of: (e) => e.path ?? "" },
  { name: "client", class: "id", of: (e) => e.client ?? "" },
];

/** How many events are kept here, and how many are asked for of those before. */
const MOST = 300;
const BEFORE = 100;

/** Milliseconds in which events are gathered before they are shown. */
const SOON = 200;

export class EventList {
  name = "Events";
  #events = [];
  #lost = 0;
  #trouble = "";
  #filter = "";
  #stop = new AbortController();
  #changed;
  #pending = false;

  /** `changed` is called soon after something has happened. */
  constructor(changed) {
    this.#changed = changed;
  }

  #soon() {
    if (!this.#pending) {
      this.#pending = true;
      setTimeout(() => {
        this.#pending = false;
        this.#changed();
      }, SOON);
    }
  }

  /** Begins to follow, if it does not yet, or follows others. */
  #begin(filter) {
    const wanted = JSON.stringify(filter);
    if (wanted === this.#filter) {
      return;
    }
    this.end();
    this.#filter = wanted;
    this.#stop = new AbortController();
    follow("events", filter, BEFORE, this.#stop.signal, {
      open: () => {
        this.#trouble = "";
        this.#soon();
      },
      trouble: (error) => {
        this.#trouble = `; the stream broke: ${error.message}`;
        this.#soon();
      },
      event: (type, data) => {
        if (type === "lost") {
          this.#lost += data.lost;
        } else {
          this.#events.unshift(data);
          this.#events.length = Math.min(this.#events.length, MOST);
        }
        this.#soon();
      },
    });
  }

  end() {
    this.#stop.abort();
    this.#events = [];
    this.#lost = 0;
    this.#filter = "";
  }

  async look(route) {
    const { path, client, id, notable } = route.filter;
    this.#begin({ path, client, id, notable: notable === "0" ? "" : "1" });
    const lost = this.#lost === 0 ? "" : `, ${count(this.#lost)} came too fast and are not shown`;
    return {
      count: `the latest ${count(this.#events.length)}${lost}${this.#trouble}`,
      content:
        this.#events.length === 0
          ? element("p", { class: "none" }, "Nothing that is remembered.")
          : table("Events, the newest first", COLUMNS, this.#events, (e) => (e.session === undefined ? undefined : route.with({ id: e.session }).toString()), route.toString()),
    };
  }
}
