// The sidecar as a whole, and the others that share its journal.

import { ask } from "./ask.js";
import { dot, element, facts } from "./element.js";
import { table } from "./table.js";
import { address, clock, count, share, size, span } from "./words.js";

/** From where on the last quarter of a stream is used, which is for small sessions only. */
const NEARLY_FULL = 0.75;

const LEASES = { live: "good", gone: "bad", released: "away", unknown: "warn" };

const COLUMNS = [
  { name: "sidecar", class: "wide", of: (m) => `${address(m.owner)}${m.self ? " (this one)" : ""}` },
  { name: "lease", of: (m) => dot(m.draining ? `${m.lease}, draining` : m.lease, m.draining ? "warn" : LEASES[m.lease]) },
  { name: "renewed", class: "number", of: (m) => `${span(m.renewed_ms_ago)} ago` },
  { name: "since", class: "id", of: (m) => (m.since === undefined ? "–" : clock(m.since)) },
  { name: "owner", class: "id", of: (m) => m.owner },
];

const EVENTS = [
  { name: "at", class: "id", of: (e) => clock(e.at) },
  { name: "what", class: "wide", of: (e) => e.text },
];

export const status = (signal) => ask("status", {}, signal);

/** The figures that are always there. */
export function figures(s) {
  const { sessions, memory, journal } = s;
  const used = memory.budget_bytes > 0 ? `, ${share(memory.used_bytes / memory.budget_bytes)}` : "";
  const pairs = [
    ["attached", count(sessions.attached)],
    ["detached", count(sessions.detached)],
    ["plain", count(sessions.plain)],
    ["tunnels", count(sessions.tunnels)],
    ["held", `${size(memory.used_bytes)}${used}`],
    ["journal", dot(journal.available ? journal.kind : "away", journal.available ? "good" : "bad")],
  ];
  return pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
}

/** What the sidecar is at, in a word or several. */
export function states(s) {
  const list = [dot(s.ready ? "ready" : "not ready", s.ready ? "good" : "bad")];
  if (s.drain.draining) {
    list.push(dot("draining", "warn"));
  }
  return list.map((state) => element("li", {}, state));
}

export class SidecarView {
  name = "Sidecar and fleet";

  async look(route, signal) {
    const s = await status(signal);
    const { journal, drain } = s;
    const since = journal.since === undefined ? "" : `, since ${clock(journal.since)}`;
    const mine = [
      ["name", s.name],
      ["release", s.version],
      ["runs since", clock(s.began)],
      ["not ready", s.why],
      ["notes", s.notes?.join("; ")],
      ["drain", drain.draining ? `since ${clock(drain.since)}: ${count(drain.sessions)} sessions, ${count(drain.plain)} plain connections and ${count(drain.tunnels)} tunnels are left` : "no"],
      ["windows hold", `${size(s.memory.used_bytes)}${s.memory.budget_bytes > 0 ? `, ${share(s.memory.used_bytes / s.memory.budget_bytes)} of the budget` : ""}`],
    ];
    const theJournal = [
      ["kind", journal.kind],
      ["state", dot(journal.available ? `available${since}` : `away${since}`, journal.available ? "good" : "bad")],
      ["why", journal.why],
      ["appends under way", `${count(journal.appends_under_way)}, ${size(journal.appending_bytes)}`],
      ...(journal.streams ?? []).map((t) => [t.name, fill(t)]),
      ["takes of one session", journal.share_bytes === undefined ? "" : size(journal.share_bytes)],
    ];
    return {
      count: s.fleet.length === 0 ? alone(journal) : `${count(s.fleet.filter((m) => m.lease === "live").length)} sidecars live`,
      content: element(
        "div",
        { class: "sidecar" },
        element("div", { class: "pair" }, block("This sidecar", facts(...mine)), block("Journal", facts(...theJournal))),
        s.fleet.length === 0 ? "" : block("Sidecars that share the journal", table("Sidecars", COLUMNS, s.fleet)),
        s.events.length === 0
          ? ""
          : block(
              "What happened last",
              table("Events", EVENTS, s.events.toReversed(), (e) => (e.session === undefined ? undefined : route.with({ id: e.session }).toString())),
            ),
      ),
    };
  }
}

/** Why no other sidecar is known. */
const alone = (journal) =>
  journal.kind === "embedded" ? "the journal is this sidecar's own" : "nothing is known of other sidecars yet";

/** How full a stream is. What is nearly full takes little of each session. */
function fill(t) {
  if (t.most_bytes === 0) {
    return size(t.held_bytes);
  }
  const part = t.held_bytes / t.most_bytes;
  const text = `${size(t.held_bytes)} of ${size(t.most_bytes)}, ${share(part)}`;
  return part > NEARLY_FULL ? dot(text, "bad") : text;
}

export const block = (name, ...children) => element("div", { class: "block" }, element("h3", {}, name), ...children);
