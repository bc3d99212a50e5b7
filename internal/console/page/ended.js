// Sessions that ended lately, and why.

import { ask } from "./ask.js";
import { table } from "./table.js";
import { brief, clock, count, span } from "./words.js";

const COLUMNS = [
  { name: "session", class: "id", of: (e) => brief(e.id) },
  { name: "ended", class: "id", of: (e) => clock(e.at) },
  { name: "why", class: "wide", of: (e) => e.why },
  { name: "kind", of: (e) => e.kind },
  { name: "path", class: "wide", of: (e) => e.path ?? "" },
  { name: "client", class: "id", of: (e) => e.client ?? "" },
  { name: "age", class: "number", of: (e) => span(e.age_ms) },
];

const MOST = 200;

export class EndedList {
  name = "Ended lately";

  async look(route, signal) {
    const { path, client, id, kind } = route.filter;
    const { ended } = await ask("ended", { path, client, id, kind, limit: MOST }, signal);
    return {
      count: ended.length === 0 ? "none is remembered" : `the latest ${count(ended.length)}`,
      content: table("Sessions that have ended", COLUMNS, ended, (e) => route.with({ id: e.id }).toString(), route.toString()),
    };
  }
}
