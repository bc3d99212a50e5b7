// One session.

import { ask } from "./ask.js";
import { dot, element, facts } from "./element.js";
import { mood } from "./sessions.js";
import { block } from "./sidecar.js";
import { table } from "./table.js";
import { address, clock, count, plain, share, size, span, trip } from "./words.js";

/** Milliseconds of deviation above which something in between holds bytes back. */
const UNSTEADY = 40;

const EVENTS = [
  { name: "at", class: "id", of: (e) => clock(e.at) },
  { name: "what", class: "wide", of: (e) => element("span", {}, e.text, e.advice === undefined ? null : advice(e.advice)) },
];

/** What would have helped, and a page about it. */
const advice = (a) =>
  element("span", { class: "advice" }, ` ${a.setting} `, element("a", { href: a.docs, rel: "noreferrer", target: "_blank" }, "more"));

const SNAPSHOT = [
  { name: "entry", class: "wide", of: (e) => e.key },
  { name: "state", of: (e) => e.state },
  { name: "size", class: "number", of: (e) => size(e.size) },
  { name: "version", class: "number", of: (e) => e.version },
  { name: "kept", class: "id", of: (e) => clock(e.kept) },
];

export async function lookAt(id, signal) {
  return ask(`sessions/${id}`, {}, signal);
}

/** What is shown of it. `back` is where Close leads. */
export function detail(d, back) {
  const state = d.here ? dot(d.kind === "plain" ? "plain, attached" : plain(d.state), mood(d)) : dot(d.ended === undefined ? "not here" : "ended", "away");
  return [
    element(
      "div",
      { class: "title" },
      element("h2", { id: "detail-name" }, d.id),
      state,
      element("a", { href: back, class: "close", "aria-label": "Close" }, "✕"),
    ),
    d.ended === undefined ? null : block("Ended", ended(d.ended)),
    d.located === undefined ? null : block("In the journal", located(d.located)),
    d.locate_error === undefined ? null : block("In the journal", element("p", { class: "none" }, d.locate_error)),
    d.here ? element("div", { class: "pair" }, block("Session", who(d)), block("Link", link(d.link))) : null,
    block(
      "What happened",
      d.events.length === 0
        ? element("p", { class: "none" }, d.here ? "Nothing that is remembered." : "Nothing is remembered of it here.")
        : table("Events, the newest first", EVENTS, d.events.toReversed()),
    ),
    d.windows === undefined ? null : element("div", { class: "pair" }, window("To the client", d.windows.to_client), window("To the app", d.windows.to_app)),
    d.here ? element("div", { class: "pair" }, d.journal === undefined ? null : block("Journal", journal(d.journal)), block("Traffic", traffic(d.traffic))) : null,
    snapshot(d.snapshot),
  ];
}

function who(d) {
  return facts(
    ["path", d.path],
    ["client", d.client],
    ["trace", d.trace],
    ["owner", address(d.owner)],
    ["epoch", d.epoch === undefined ? "" : `${d.epoch}${d.adopted === undefined ? "" : `, not its first app socket (${d.adopted})`}`],
    ["age", `${span(d.age_ms)}, since ${clock(d.began)}`],
    ["away", d.away_ms === undefined ? "" : `${span(d.away_ms)}, lacks ${count(d.lacking_messages ?? 0)} messages`],
    ["ends in", d.expires_in_ms === undefined ? "" : `${span(d.expires_in_ms)}, unless its client comes back`],
  );
}

function link(l) {
  const unsteady = l.deviation_ms > UNSTEADY ? "; above 40 ms something in between holds bytes back" : "";
  return facts(
    ["state", plain(l.state)],
    ["round trip", trip(l.rtt_ms)],
    ["deviation", `${trip(l.deviation_ms)}${unsteady}`],
    ["loss", `${share(l.loss)} of heartbeats`],
    ["heartbeat", `every ${span(l.interval_ms)}`],
  );
}

function window(name, w) {
  const most = w.max_messages === undefined ? "" : `, at most ${count(w.max_messages)}`;
  return block(
    name,
    element("meter", { min: 0, max: w.max_bytes, value: Math.min(w.bytes, w.max_bytes), high: w.max_bytes * 0.9, "aria-label": name }),
    facts(
      ["bytes", `${size(w.bytes)} of ${size(w.max_bytes)}`],
      ["messages", `${count(w.messages)}${most}`],
      ["full", w.full ? dot("whoever sends waits", "bad") : ""],
    ),
  );
}

function journal(j) {
  if (!j.on) {
    return facts(["state", "none: it lives in memory"]);
  }
  return facts(
    ["lacks", `${count(j.lacks_messages)} messages`],
    ["writes", j.writing ? "a record is under way" : "nothing just now"],
    ["failed", j.failures_in_a_row === 0 ? "" : dot(`${count(j.failures_in_a_row)} in a row, again in ${span(j.retry_in_ms ?? 0)}`, "bad")],
  );
}

function traffic(t) {
  return facts(
    ["from client", `${count(t.messages_from_client)} messages, ${size(t.bytes_from_client)}`],
    ["from app", `${count(t.messages_from_app)} messages, ${size(t.bytes_from_app)}`],
    ["replayed", `${count(t.replayed)} messages`],
    ["came twice", `${count(t.duplicates_dropped)}, dropped`],
    ["window full", `${count(t.window_full)} times`],
    ["heartbeats", `${count(t.heartbeats_answered)} of ${count(t.heartbeats_sent)} answered`],
  );
}

function ended(e) {
  return facts(
    ["at", clock(e.at)],
    ["why", e.why],
    ["by", e.by],
    ["advice", e.advice === undefined ? "" : advice(e.advice)],
    ["age", span(e.age_ms)],
    ["path", e.path],
    ["client", e.client],
    ["trace", e.trace],
  );
}

function located(l) {
  return facts(
    ["state", plain(l.state)],
    ["owner", `${address(l.owner)}, whose lease is ${l.lease}`],
    ["epoch", l.epoch],
    ["detached", l.detached === undefined ? "" : `since ${clock(l.detached)}`],
    ["holds", `${count(l.messages)} messages for the client`],
    ["gap", l.gap ? dot("messages are missing: whoever adopts it resets it", "bad") : ""],
    ["app", l.app_left],
  );
}

function snapshot(s) {
  if (s === undefined || (s.entries ?? []).length === 0) {
    return null;
  }
  return block(
    `What a fresh app socket would hear: ${count(s.entries.length)}, ${size(s.bytes)}`,
    facts(
      ["snapshot", `${s.id}, version ${s.version}, since ${clock(s.began)}`],
      ["complete", s.complete ? "" : dot("no: something that matters is not among it, so that a session which moves is not silent", "warn")],
      ["expires", s.expires === undefined ? "" : `at ${clock(s.expires)}, unless the client says something of it before`],
    ),
    table("Snapshot, without payloads", SNAPSHOT, s.entries),
  );
}
