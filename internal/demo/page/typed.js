// A text that is typed, a letter for each message to the browser. A message that
// never came leaves a hole in it.

/** What is typed, and typed again over the last time when it is full. */
const TEXT =
  "Each letter is one message, twenty a second. Your train goes through a tunnel, your phone changes " +
  "networks, the app gets a new release, its machine dies. What was said meanwhile? " +
  "Where a letter is missing, nobody will ever send it again. ";

export class Typed {
  #letters;
  #states = []; // what each letter is shown as
  #at = 0; // the letter that is typed next

  /** Fills an empty element. */
  constructor(element) {
    this.#letters = [...TEXT].map((letter) => {
      const span = document.createElement("span");
      span.textContent = letter;
      return span;
    });
    element.replaceChildren(...this.#letters);
    this.#head(true);
  }

  /** Types letters that came. */
  came(n) {
    this.#type(n, "came");
  }

  /** Leaves holes for letters that never will. */
  never(n) {
    this.#type(n, "never");
  }

  #type(n, state) {
    if (n <= 0) {
      return;
    }
    this.#head(false);
    // Of more than a whole text only the last is to be seen.
    this.#at += Math.max(0, n - TEXT.length);
    for (let i = 0; i < Math.min(n, TEXT.length); i++, this.#at++) {
      const slot = this.#at % TEXT.length;
      if (this.#states[slot] !== state) {
        this.#states[slot] = state;
        this.#letters[slot].dataset.state = state;
      }
    }
    this.#head(true);
  }

  /** Marks the place where the next letter comes. */
  #head(shown) {
    this.#letters[this.#at % TEXT.length].toggleAttribute("data-head", shown);
  }
}
