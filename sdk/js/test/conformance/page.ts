// What the page of the table runs.
import { ResilientWebSocket } from "../../src/index.ts";
import type { Ending, Place } from "./case.ts";
import { type Outcome, runTable } from "./table.ts";

/** What the test puts into the page, and what the page offers to it. */
export interface Globals {
  /** The app's view, from outside the page. */
  ended(url: string): Promise<Ending>;
  table: typeof table;
}

export function table(native: boolean, base: string, nowhere: string): Promise<Outcome[]> {
  const type: Place["type"] = native ? WebSocket : ResilientWebSocket;
  return runTable({
    type,
    base,
    nowhere,
    ended: (url) => (globalThis as typeof globalThis & Globals).ended(url),
    page: true,
  });
}
