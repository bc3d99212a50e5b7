import { add, less, lessEq } from "./serial.ts";
import type { Heard } from "./share-messages.ts";

/** Most bytes of the app's messages that a tab keeps for those that were frozen or in the back-forward cache. */
const MAX_LOG = 4 << 20;

/** The newest messages of the app's, for tabs that were away. */
export class HeardLog {
  private kept: Heard[] = [];
  private size = 0;
  private readonly most: number;

  constructor(most = MAX_LOG) {
    this.most = most;
  }

  append(message: Heard): void {
    this.kept.push(message);
    this.size += message.data.length;
    while (this.size > this.most) {
      this.size -= this.kept.shift()!.data.length;
    }
  }

  /** Returns what came after `seq`, up to `last`; null if some of it is forgotten. */
  since(seq: number, last: number): Heard[] | null {
    if (lessEq(last, seq)) {
      return [];
    }
    const found = this.kept.filter((message) => less(seq, message.at));
    return found[0]?.at === add(seq, 1) ? found : null;
  }

  clear(): void {
    this.kept = [];
    this.size = 0;
  }
}
