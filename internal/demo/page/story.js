// What happened, in words, the newest first. Screen readers are told as well.

/** Lines that are shown. */
const LINES = 8;

export class Story {
  #list;
  #began = performance.now();

  constructor(list) {
    this.#list = list;
  }

  /** `kind` colours the line: a fault, "loss", "back", or "". */
  tell(text, kind = "") {
    const seconds = Math.floor((performance.now() - this.#began) / 1000);
    const line = document.createElement("li");
    line.dataset.kind = kind;
    const time = document.createElement("time");
    time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    line.append(time, ` ${text}`);
    this.#list.prepend(line);
    while (this.#list.children.length > LINES) {
      this.#list.lastElementChild.remove();
    }
  }
}
