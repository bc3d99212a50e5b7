/** So many places in front may be empty before the items are moved up. */
const SLACK = 1024;

/** A queue. Taking from the front is cheap however long it is, while `shift` of a long array moves all of it. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #front = 0;

  get length(): number {
    return this.#items.length - this.#front;
  }

  /** Returns the nth item from the front, if there is one. */
  peek(n = 0): T | undefined {
    return this.#items[this.#front + n];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first item away. */
  drop(): void {
    this.#items[this.#front++] = undefined;
    if (this.#front > SLACK && this.#front > this.length) {
      this.#items = this.rest();
      this.#front = 0;
    }
  }

  clear(): void {
    this.#items = [];
    this.#front = 0;
  }

  /** Returns all items. */
  rest(): T[] {
    return this.#items.slice(this.#front) as T[];
  }
}
