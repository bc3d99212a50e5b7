// What the timeline shows of a client: how many messages came in each tenth of
// a second, and what happened to it.

/** Milliseconds that one column stands for, and that are kept. */
export const COLUMN = 100;
export const SPAN = 60_000;

const COLUMNS = SPAN / COLUMN;

export class Tape {
  #down = new Uint16Array(COLUMNS);
  #up = new Uint16Array(COLUMNS);
  #lost = new Uint16Array(COLUMNS);
  #newest = 0; // the column of now, counted from the start of time
  marks = []; // { at, kind }
  outages = []; // { from, to }; to is Infinity while it lasts

  /** Moves on to `now`: columns without messages are empty. */
  wind(now) {
    const column = Math.floor(now / COLUMN);
    const fresh = Math.min(column - this.#newest, COLUMNS);
    for (let i = 0; i < fresh; i++) {
      const slot = (column - i) % COLUMNS;
      this.#down[slot] = this.#up[slot] = this.#lost[slot] = 0;
    }
    this.#newest = Math.max(this.#newest, column);
    const old = now - SPAN;
    this.marks = this.marks.filter((mark) => mark.at > old);
    this.outages = this.outages.filter((outage) => outage.to > old);
  }

  down(now, n = 1) {
    this.#note(this.#down, now, n);
  }

  /** The server tells as often as a column is long, but not in step with it. */
  up(now, n) {
    this.#note(this.#up, now, Math.ceil(n / 2));
    this.#note(this.#up, now - COLUMN, Math.floor(n / 2));
  }

  lost(now, n) {
    this.#note(this.#lost, now, n);
  }

  mark(now, kind) {
    this.marks.push({ at: now, kind });
  }

  begin(now) {
    if (this.outages.at(-1)?.to !== Number.POSITIVE_INFINITY) {
      this.outages.push({ from: now, to: Number.POSITIVE_INFINITY });
    }
  }

  end(now) {
    const last = this.outages.at(-1);
    if (last) {
      last.to = Math.min(last.to, now);
    }
  }

  /** Calls `draw(start, down, up, lost)` for each column that is not empty. */
  each(draw) {
    for (let i = 0; i < COLUMNS; i++) {
      const column = this.#newest - i;
      const slot = column % COLUMNS;
      if (column >= 0 && this.#down[slot] + this.#up[slot] + this.#lost[slot] > 0) {
        draw(column * COLUMN, this.#down[slot], this.#up[slot], this.#lost[slot]);
      }
    }
  }

  /** Messages in the last full second, each way. */
  rates() {
    const rates = { down: 0, up: 0 };
    for (let i = 1; i <= 1000 / COLUMN; i++) {
      const slot = (this.#newest - i + COLUMNS) % COLUMNS;
      rates.down += this.#down[slot];
      rates.up += this.#up[slot];
    }
    return rates;
  }

  #note(columns, now, n) {
    this.wind(now);
    const slot = Math.floor(now / COLUMN) % COLUMNS;
    columns[slot] = Math.min(65535, columns[slot] + n);
  }
}
