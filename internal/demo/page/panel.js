// The readouts of one client.

import { SILENT, word } from "./word.js";

export class Panel {
  #section;
  #values = new Map();
  #shown = new Map();

  constructor(section) {
    this.#section = section;
    for (const element of section.querySelectorAll("[data-value]")) {
      this.#values.set(element.dataset.value, element);
    }
  }

  /** `fault` is the last one, if any: its kind, and when it was. */
  show(lane, now, fault) {
    const { totals } = lane;
    const rates = lane.tape.rates();
    this.#hero("never", totals.never);
    this.#text("lost", String(totals.lost));
    this.#text("duplicated", String(totals.duplicated));
    this.#text("word", word(lane, fault, now));
    this.#text("rate", `${rates.down} · ${rates.up}`);
    this.#text("worst", `${(lane.worstGap(now) / 1000).toFixed(2)} s`);
    this.#text("comebacks", lane.resilient ? `${lane.comebacks} · ${lane.adoptions}` : String(lane.comebacks));
    this.#text("unsent", String(lane.unsent));
    this.#text("detail", detail(lane, totals));
    this.#text("state", state(lane, now));
    this.#section.dataset.state = lane.connected && lane.silence(now) < SILENT ? "connected" : "broken";
  }

  #text(name, text) {
    if (this.#shown.get(name) !== text) {
      this.#shown.set(name, text);
      this.#values.get(name).textContent = text;
    }
  }

  /** The number that counts. */
  #hero(name, number) {
    this.#text(name, String(number));
    this.#values.get(name).classList.toggle("alarm", number > 0);
  }
}

function state(lane, now) {
  const silence = lane.silence(now);
  const since = silence < SILENT ? "" : ` ${(silence / 1000).toFixed(1)} s`;
  if (lane.over) {
    return "session over";
  }
  if (!lane.connected) {
    return lane.sent === 0 ? "connecting" : `no connection${since}`;
  }
  const where = lane.pod === "" ? "" : `, ${lane.pod}`;
  return since === "" ? `connected${where}` : `connected, silent${since}`;
}

/** What is behind the big numbers. */
function detail(lane, totals) {
  const parts = [`${totals.received} received, ${lane.sent} sent`];
  if (totals.waiting > lane.rate) {
    parts.push(`${totals.waiting} waiting`);
  }
  if (totals.lost > 0) {
    parts.push(`lost ${totals.lostDown} to the browser, ${totals.lostUp} to the app`);
  }
  if (totals.reordered > 0) {
    parts.push(`${totals.reordered} out of order`);
  }
  if (totals.gone + totals.repeated > 0) {
    parts.push(`by kills: ${totals.gone} gone with the app, ${totals.repeated} came twice`);
  }
  return parts.join(" · ");
}
