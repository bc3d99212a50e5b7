// Draws the tapes of both clients like a strip chart: messages to the browser
// above each lane's line, those to the app below it.

import { COLUMN, SPAN } from "./tape.js";

/** Messages in a column at which it has its full height, as what was missed and comes at once has. */
const FULL = 16;

/** Pixels: of the labels above the lanes, and between these. */
const TOP = 26;
const BOTTOM = 18;
const BETWEEN = 12;

const GLYPHS = { back: "▲", adopted: "◆" };

export class Timeline {
  #canvas;
  #lanes;
  #faults = []; // { from, to, text }
  #ink = {};

  constructor(canvas, lanes) {
    this.#canvas = canvas;
    this.#lanes = lanes;
    this.takeColours();
  }

  /** Reads the colours of the theme. */
  takeColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "mute", "grid", "line", "plain", "resilient", "bad", "outage"]) {
      this.#ink[name] = style.getPropertyValue(`--${name}`).trim();
    }
    this.#ink.font = style.getPropertyValue("--mono");
  }

  /** A fault that all lanes show, for a moment or until `mend`. */
  fault(now, text, lasts) {
    this.#faults.push({ from: now, to: lasts ? Number.POSITIVE_INFINITY : now, text });
  }

  mend(now) {
    for (const fault of this.#faults) {
      fault.to = Math.min(fault.to, now);
    }
  }

  draw(now) {
    const { width, height, context } = this.#size();
    const x = (at) => width - ((now - at) / SPAN) * width;
    this.#faults = this.#faults.filter((fault) => fault.to > now - SPAN);
    context.clearRect(0, 0, width, height);
    this.#grid(context, width, height);
    this.#track(context, x, height, now);
    const laneHeight = (height - TOP - BOTTOM - BETWEEN) / 2;
    this.#lanes.forEach((lane, i) => {
      lane.tape.wind(now);
      this.#lane(context, x, lane, TOP + i * (laneHeight + BETWEEN), laneHeight, now, width);
    });
    this.#labels(context, x, width);
  }

  #size() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const ratio = window.devicePixelRatio || 1;
    if (this.#canvas.width !== Math.round(width * ratio) || this.#canvas.height !== Math.round(height * ratio)) {
      this.#canvas.width = Math.round(width * ratio);
      this.#canvas.height = Math.round(height * ratio);
    }
    const context = this.#canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = `11px ${this.#ink.font}`;
    context.textBaseline = "middle";
    return { width, height, context };
  }

  #grid(context, width, height) {
    const step = width < 500 ? 20 : 10;
    context.fillStyle = this.#ink.grid;
    for (let s = 0; s <= 60; s += step) {
      context.fillRect(Math.min(width - 1, Math.round(width - (s / 60) * width)), TOP, 1, height - TOP - BOTTOM);
    }
    context.fillStyle = this.#ink.mute;
    for (let s = step; s < 60; s += step) {
      context.textAlign = "center";
      context.fillText(`−${s} s`, width - (s / 60) * width, height - BOTTOM / 2);
    }
    context.textAlign = "right";
    context.fillText("now", width, height - BOTTOM / 2);
  }

  /** The faults, on a track of their own, each with a line through both lanes. */
  #track(context, x, height, now) {
    for (const { from, to } of this.#faults) {
      const left = x(from);
      context.fillStyle = this.#ink.ink;
      context.fillRect(left, TOP - 7, Math.max(3, x(Math.min(to, now)) - left), 4);
      context.fillStyle = this.#ink.mute;
      context.fillRect(left, TOP - 7, 1, height - TOP - BOTTOM + 7);
    }
  }

  #lane(context, x, lane, top, height, now, width) {
    const middle = top + height / 2;
    const ink = lane.resilient ? this.#ink.resilient : this.#ink.plain;
    const bar = Math.max(1, (COLUMN / SPAN) * width - 0.5);
    const tall = (n) => Math.min(1, Math.log1p(n) / Math.log1p(FULL)) * (height / 2 - 1);
    context.fillStyle = this.#ink.outage;
    for (const { from, to } of lane.tape.outages) {
      context.fillRect(x(from), top, x(Math.min(to, now)) - x(from), height);
    }
    context.fillStyle = this.#ink.line;
    context.fillRect(0, Math.round(middle), width, 1);
    lane.tape.each((at, down, up, lost) => {
      context.fillStyle = ink;
      context.globalAlpha = 1;
      context.fillRect(x(at), middle - tall(down), bar, tall(down));
      context.globalAlpha = 0.5;
      context.fillRect(x(at), middle + 1, bar, tall(up));
      context.globalAlpha = 1;
      if (lost > 0) {
        context.fillStyle = this.#ink.bad;
        context.fillRect(x(at) - 1, middle - tall(lost), Math.max(3, bar), 2 * tall(lost));
      }
    });
    this.#marks(context, x, lane, top, ink);
    context.fillStyle = ink;
    context.textAlign = "left";
    context.fillText(lane.resilient ? "resilient" : "plain", 4, top + 7);
  }

  #marks(context, x, lane, top, ink) {
    context.textAlign = "center";
    for (const { at, kind } of lane.tape.marks) {
      context.fillStyle = ink;
      context.fillText(GLYPHS[kind], x(at), top + 6);
    }
  }

  #labels(context, x, width) {
    context.textAlign = "left";
    context.fillStyle = this.#ink.ink;
    let free = Number.NEGATIVE_INFINITY;
    for (const { from, text } of this.#faults) {
      const left = Math.max(0, x(from));
      const wide = context.measureText(text).width;
      if (left >= free && left + wide <= width) {
        context.fillText(text, left, 9);
        free = left + wide + 8;
      } else if (left >= free) {
        context.textAlign = "right";
        context.fillText(text, width, 9);
        context.textAlign = "left";
        free = width;
      }
    }
  }
}
