import type { Page } from "playwright-core";
import type { open } from "../../src/persist-open.ts";
import type { Saved, SavedMessage, Store } from "../../src/store.ts";
import { openPage, type Site, startBrowser, startSite } from "../rig.ts";

declare global {
  var openStore: typeof open;
  var store: Store;
}

/** A state with no end in sight. */
export const SAVED: Saved = {
  token: "t0ken",
  dials: 0,
  epoch: 3,
  received: 7,
  acked: 0,
  shift: 0,
  protocol: "chat",
  expires: Date.now() + 3_600_000,
};

/** A message on its way into a page and out of it: bytes are an array of numbers. */
export type Plain = readonly [position: number, data: string | readonly number[]];

/** What a page found. */
export interface Found {
  readonly saved: Saved;
  readonly messages: readonly Plain[];
}

/** A tab with a store. */
export class Place {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Opens the store, at a certain time if that is told, and returns what was found. */
  open(name = "test", at = 0): Promise<Found | null> {
    return this.page.evaluate(
      async ([name, at]) => {
        while (Date.now() < at); // as close to other tabs as can be
        globalThis.store = await openStore(name);
        const { restored } = store;
        return (
          restored && {
            saved: restored.saved,
            messages: restored.messages.map(
              ({ position, data }) => [position, typeof data === "string" ? data : [...data!]] as const,
            ),
          }
        );
      },
      [name, at] as const,
    );
  }

  put(...messages: Plain[]): Promise<void> {
    return this.page.evaluate((all) => {
      for (const [position, data] of all) {
        const kept: SavedMessage = {
          position,
          data: typeof data === "string" ? data : Uint8Array.from(data),
        };
        store.put(kept);
      }
    }, messages);
  }

  /** Saves, and returns why that failed, or "". */
  save(changes: Partial<Saved> = {}): Promise<string> {
    return this.page.evaluate(
      (saved) =>
        store.save(saved).then(
          () => "",
          (error) => error.message,
        ),
      { ...SAVED, ...changes },
    );
  }

  /** Reloads the page and opens the store again. */
  async reload(name = "test"): Promise<Found | null> {
    await this.page.reload();
    await this.page.waitForFunction("globalThis.ready");
    return this.open(name);
  }

  /** The tokens, or "", of all places on disk, and the number of messages. */
  disk(database = "wsresilience"): Promise<{ places: string[]; messages: number }> {
    return this.page.evaluate(async (database) => {
      const ask = <T>(request: IDBRequest<T>): Promise<T> =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
      const db = await ask(indexedDB.open(database));
      const tx = db.transaction(["places", "messages"]);
      const places: { saved: Saved | null }[] = await ask(tx.objectStore("places").getAll());
      const messages = await ask(tx.objectStore("messages").count());
      db.close();
      return { places: places.map(({ saved }) => saved?.token ?? "").sort(), messages };
    }, database);
  }
}

/** A browser with a site, and an empty disk. */
export interface Stage {
  readonly site: Site;
  /** Opens a tab, in which something runs before the page does. */
  tab(before?: () => void): Promise<Place>;
}

export async function stage(body: (stage: Stage) => Promise<void>): Promise<void> {
  const site = await startSite({
    source: `import { open } from "./src/persist-open.ts"; globalThis.openStore = open;`,
  });
  const browser = await startBrowser();
  const context = await browser.newContext();
  const tab = async (before?: () => void) => {
    const page = before ? await context.newPage() : await openPage(browser, site);
    if (before) {
      await page.addInitScript(before);
      await page.goto(site.origin);
      await page.waitForFunction("globalThis.ready");
    }
    return new Place(page);
  };
  try {
    await body({ site, tab });
  } finally {
    await browser.close();
    await site.close();
  }
}
