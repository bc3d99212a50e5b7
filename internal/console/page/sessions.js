// The list of sessions.

import { ask } from "./ask.js";
import { dot } from "./element.js";
import { table } from "./table.js";
import { brief, count, plain, share, size, span, trip } from "./words.js";

/** How well a session is, by its state and its link. */
export function mood(session) {
  if (session.state === "attached") {
    return session.link.state === "CONNECTED" ? "good" : "warn";
  }
  return session.state === "detached" || session.state === "closing" ? "away" : "warn";
}

const COLUMNS = [
  { name: "session", class: "id", of: (s) => brief(s.id) },
  { name: "state", of: (s) => dot(s.kind === "plain" ? "plain" : plain(s.state), mood(s)) },
  { name: "path", class: "wide", of: (s) => s.path ?? "" },
  { name: "client", class: "id", of: (s) => s.client ?? "" },
  { name: "age", class: "number", of: (s) => span(s.age_ms) },
  { name: "link", of: (s) => plain(s.link.state) },
  { name: "round trip", class: "number", of: (s) => trip(s.link.rtt_ms) },
  { name: "loss", class: "number", of: (s) => share(s.link.loss) },
  { name: "held", class: "number", of: (s) => size(s.held_bytes) },
  { name: "away", class: "number", of: (s) => span(s.away_ms ?? 0) },
  { name: "ends in", class: "number", of: (s) => span(s.expires_in_ms ?? 0) },
];

/** How many are asked for at once, and shown at most: who wants more filters. */
const STEP = 100;
const MOST = 1000;

export class SessionList {
  name = "Sessions";
  #limit = STEP;

  /** Shows more of them from now on. */
  more() {
    this.#limit = Math.min(this.#limit + STEP, MOST);
  }

  less() {
    this.#limit = STEP;
  }

  async look(route, signal) {
    const { path, client, id, state, kind, sort } = route.filter;
    const answer = await ask("sessions", { path, client, id, state, kind, sort: sort ?? "newest", limit: this.#limit }, signal);
    return {
      count: `${count(answer.sessions.length)} of ${count(answer.matched)} shown, ${count(answer.all)} in all`,
      more: answer.next !== undefined && this.#limit < MOST,
      content: table("Sessions and plain connections", COLUMNS, answer.sessions, (s) => route.with({ id: s.id }).toString(), route.toString()),
    };
  }
}
