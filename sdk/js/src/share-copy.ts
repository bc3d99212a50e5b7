import { lessEq } from "./serial.ts";
import type { Change, Facts, Item, Replica } from "./share-messages.ts";
import type { Saved } from "./store.ts";

/** What is known before there is a connection. */
const NOTHING: Facts = {
  state: "connecting",
  url: "",
  extensions: "",
  protocol: "",
  sessionName: "",
  isOpen: false,
  isPlain: false,
  largest: 1 / 0,
};

/** A tab's copy of the session: what the leader has told, in its order. */
export class Copy {
  term = 0;
  generation = 0;
  record = 0;
  facts = NOTHING;
  saved: Saved | null = null;
  items = new Map<number, Item>();
  taken: Record<string, number> = {};
  /** Seq of the last message of the app's that this tab has dispatched, or that came before its time. */
  heardTo: number | null = null;

  /** Takes over what a leader has told, but for `heardTo` if that is of the same session. */
  replace({ items, heardTo, generation, ...rest }: Replica): void {
    this.heardTo = generation === this.generation ? (this.heardTo ?? heardTo) : heardTo;
    this.items = new Map(items.map((item) => [item.position, item]));
    Object.assign(this, rest, { generation, taken: { ...rest.taken } });
  }

  replica(): Replica {
    const { term, generation, record, facts, saved, items, taken, heardTo } = this;
    return { term, generation, record, facts, saved, items: [...items.values()], taken, heardTo };
  }

  apply(record: number, facts: Facts, change: Change): void {
    this.record = record;
    this.facts = facts;
    if (change.kind === "put") {
      const { item } = change;
      this.items.set(item.position, item);
      this.taken[item.tab] = Math.max(this.taken[item.tab] ?? 0, item.number);
    } else if (change.kind === "sent") {
      this.taken[change.tab] = change.number;
    } else if (change.kind === "save") {
      this.saved = change.saved;
      this.heardTo ??= change.saved.received;
      for (const position of this.items.keys()) {
        if (!lessEq(position, change.saved.acked)) {
          break;
        }
        this.items.delete(position);
      }
    } else {
      this.generation++;
      this.saved = this.heardTo = null;
      this.items.clear();
    }
  }

  /** Whether a replica says more than this copy. */
  isBehind({ term, record }: Replica): boolean {
    return term > this.term || (term === this.term && record > this.record);
  }
}
