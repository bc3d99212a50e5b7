// Browsers without Web Locks, and pages that are no secure contexts: what stands on disk says whose a place is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Place, SAVED, type Stage, stage } from "./place.ts";

const DATABASE = "wsresilience-unlocked";

/** Longer than the silence after which an owner counts as dead, and shorter than the session lives. */
const LONG = 200_000;

const tabs = async ({ tab }: Stage, count: number): Promise<Place[]> => {
  const opened: Place[] = [];
  while (opened.length < count) {
    opened.push(await tab(() => Object.defineProperty(navigator, "locks", { value: undefined })));
  }
  return opened;
};

/** Lets the wall clock of a page go on. */
const later = (place: Place, ms: number): Promise<void> =>
  place.page.evaluate((step) => {
    const { now } = Date;
    Date.now = () => now() + step;
  }, ms);

async function crash({ page }: Place): Promise<void> {
  const crashed = page.waitForEvent("crash");
  page.goto("chrome://crash").catch(() => {});
  await crashed;
}

test("of tabs that open at the same instant each has its own place", () =>
  stage(async (s) => {
    const rounds = Array.from({ length: 20 }, (_, round) => `round ${round}`);
    const all = await tabs(s, 4);
    const seed = all.pop()!;
    for (const name of rounds) {
      await seed.open(name);
      await seed.save();
    }
    await crash(seed);
    for (const place of all) await later(place, LONG);
    for (const name of rounds) {
      const at = Date.now() + LONG + 100;
      const found = await Promise.all(all.map((place) => place.open(name, at)));
      assert.equal(found.filter((restored) => restored !== null).length, 1, name);
      await Promise.all(all.map((place, i) => place.save({ token: `${name} ${i}` })));
    }
    const { places } = await all[0]!.disk(DATABASE);
    assert.deepEqual(places, rounds.flatMap((name) => all.map((_, i) => `${name} ${i}`)).sort());
  }));

test("a reload finds its place at once, and so does the next tab after one that was closed", () =>
  stage(async (s) => {
    const [place, other, third] = (await tabs(s, 3)) as [Place, Place, Place];
    await place.open();
    await place.put([1, "one"]);
    await place.save();
    assert.deepEqual((await place.reload())?.messages, [[1, "one"]]);
    await place.page.evaluate(() => store.close()); // it never got as far as its session
    assert.deepEqual((await place.open())?.messages, [[1, "one"]]);
    assert.equal(await other.open(), null, "it is taken");
    await place.page.close({ runBeforeUnload: true });
    assert.deepEqual((await third.open())?.messages, [[1, "one"]]);
  }));

test("a tab that crashed leaves its place when it has been silent for long", () =>
  stage(async (s) => {
    const [place, other, third] = (await tabs(s, 3)) as [Place, Place, Place];
    await place.open();
    await place.save();
    await crash(place);
    assert.equal(await other.open(), null, "it may still live");
    await later(third, LONG);
    assert.deepEqual((await third.open())?.saved, SAVED);
  }));

test("a hidden tab that writes nothing still says that it lives", () =>
  stage(async (s) => {
    const [place, other] = (await tabs(s, 2)) as [Place, Place];
    await place.page.evaluate(() => {
      Object.assign(globalThis, { setInterval: (beat: () => void) => Object.assign(globalThis, { beat }) });
    });
    await place.open();
    await place.save();
    for (let minute = 0; minute < 5; minute++) {
      await later(place, 60_000); // that often do browsers let a hidden page's timers run
      await place.page.evaluate("beat()");
    }
    await later(other, 5 * 60_000);
    assert.equal(await other.open(), null);
  }));

test("a tab that was taken for dead finds out with its next write, and disturbs nothing", () =>
  stage(async (s) => {
    const [place, other] = (await tabs(s, 2)) as [Place, Place];
    await place.open();
    await place.put([1, "one"]);
    await place.save();
    await later(other, LONG);
    assert.deepEqual((await other.open())?.messages, [[1, "one"]]);
    await place.put([2, "too late"]);
    assert.match(await place.save({ token: "old" }), /persist: .*another tab took the place/);
    await place.page.evaluate(() => store.close());
    assert.equal(await other.save({ token: "new" }), "");
    assert.deepEqual(await other.disk(DATABASE), { places: ["new"], messages: 1 });
  }));

test("a page in the back-forward cache keeps its place", () =>
  stage(async (s) => {
    const [place, other] = (await tabs(s, 2)) as [Place, Place];
    await place.open();
    await place.save();
    await place.page.evaluate(() => {
      addEventListener("pageshow", ({ persisted }) => Object.assign(globalThis, { persisted }));
    });
    await place.page.goto(`${s.site.origin}/elsewhere`);
    assert.equal(await other.open(), null);
    await place.page.evaluate(() => history.back());
    await place.page.waitForFunction("globalThis.persisted");
    assert.equal(await place.save(), "");
  }));
