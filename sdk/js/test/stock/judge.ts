/** What a page made of the numbers that its app said. */
export interface Outcome {
  /** Different numbers that were seen. */
  readonly seen: number;
  /** Numbers between the first and the last that were never seen. */
  readonly lost: number;
  /** Numbers that a look at the page showed more than once. */
  readonly doubled: number;
  /** Numbers that stood behind a higher one. */
  readonly swapped: number;
  /** Whether numbers came to the end. */
  readonly goesOn: boolean;
}

/** Gathers looks at a page that may forget what it showed first. */
export class Judge {
  readonly #seen = new Set<number>();
  readonly #doubled = new Set<number>();
  readonly #swapped = new Set<number>();

  /** The highest number so far. */
  last = 0;

  take(look: readonly number[]): void {
    const once = new Set<number>();
    let highest = 0;
    for (const number of look) {
      if (once.has(number)) this.#doubled.add(number);
      else if (number < highest) this.#swapped.add(number);
      once.add(number);
      this.#seen.add(number);
      highest = Math.max(highest, number);
    }
    this.last = Math.max(this.last, highest);
  }

  outcome(goesOn: boolean): Outcome {
    const first = Math.min(...this.#seen);
    return {
      seen: this.#seen.size,
      lost: this.#seen.size ? this.last - first + 1 - this.#seen.size : 0,
      doubled: this.#doubled.size,
      swapped: this.#swapped.size,
      goesOn,
    };
  }
}
