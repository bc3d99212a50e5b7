// What a tab keeps on disk, and who finds it: in IndexedDB and with Web Locks of a real browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { UNSAVED_DIALS } from "../../src/store.ts";
import { type Place, SAVED, stage } from "./place.ts";

/** A tab with two messages in its place. */
async function filled(place: Place, name = "test"): Promise<Place> {
  assert.equal(await place.open(name), null);
  await place.put([1, "one"], [2, [0, 255]]);
  assert.equal(await place.save(), "");
  return place;
}

const FILLED = {
  saved: SAVED,
  messages: [
    [1, "one"],
    [2, [0, 255]],
  ],
};

test("a reload finds the state and the messages, over and over", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    assert.deepEqual(await place.reload(), FILLED);
    for (let epoch = 0; epoch < 30; epoch++) {
      assert.equal(await place.save({ epoch }), "");
      assert.equal((await place.reload())?.saved.epoch, epoch);
    }
    assert.deepEqual(await place.disk(), { places: [SAVED.token], messages: 2 });
  }));

test("what was acknowledged is forgotten, and what is cleared", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    await place.put([3, "three"]);
    await place.save({ acked: 2 });
    assert.deepEqual((await place.reload())?.messages, [[3, "three"]]);
    await place.page.evaluate(() => store.clear());
    assert.equal(await place.reload(), null);
    assert.deepEqual(await place.disk(), { places: [""], messages: 0 });
  }));

test("a message is found with its key", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    await place.page.evaluate(() => store.put({ position: 3, data: "three", key: "order-ö" }));
    await place.save();
    await place.reload();
    const found = await place.page.evaluate(() => store.restored!.messages.map(({ key }) => key ?? ""));
    assert.deepEqual(found, ["", "", "order-ö"]);
  }));

test("a place that is given up is gone, after all that was written", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    await place.page.evaluate(() => {
      store.put({ position: 3, data: "three" });
      return store.close();
    });
    assert.deepEqual(await place.disk(), { places: [], messages: 0 });
    const held = () => place.page.evaluate(async () => (await navigator.locks.query()).held?.length);
    assert.equal(await held(), 0);
    assert.match(await place.save(), /closed/);
  }));

/** FILLED after so many lives that may have dialled and saved nothing. */
const filledAfter = (lives: number) => ({ ...FILLED, saved: { ...SAVED, dials: lives * UNSAVED_DIALS } });

test("a life that never got as far as the session that it found leaves it as it was", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    assert.deepEqual(await place.reload(), FILLED);
    await place.page.evaluate(() => store.close());
    assert.deepEqual(await place.open(), filledAfter(1));
    assert.deepEqual(
      await place.reload(),
      filledAfter(2),
      "whose next handshake is late if it counts from the same",
    );
    await place.save();
    await place.page.evaluate(() => store.close());
    assert.deepEqual(await place.disk(), { places: [], messages: 0 });
  }));

test("a tab that crashed leaves what it had written in its last task", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    const crashed = place.page.waitForEvent("crash");
    await place.put([3, "last words"]);
    place.page.goto("chrome://crash").catch(() => {});
    await crashed;
    const next = await tab();
    assert.deepEqual((await next.open())?.messages, [...FILLED.messages, [3, "last words"]]);
  }));

test("the next tab finds the place of one that was closed, and the newest first", () =>
  stage(async ({ tab }) => {
    const [older, newer] = [await filled(await tab()), await filled(await tab())];
    await older.save({ token: "older" });
    await newer.save({ token: "newer" });
    const other = await tab();
    assert.equal(await other.open("another name"), null);
    assert.equal(await other.open(), null, "both are taken");
    await older.page.close();
    await newer.page.close();
    const [first, second] = [await tab(), await tab()];
    assert.equal((await first.open())?.saved.token, "newer");
    assert.equal((await second.open())?.saved.token, "older");
  }));

test("of tabs that open at the same instant each has its own place", () =>
  stage(async ({ tab }) => {
    const rounds = Array.from({ length: 20 }, (_, round) => `round ${round}`);
    const seed = await tab();
    for (const name of rounds) await filled(seed, name);
    await seed.page.close();
    const tabs = [await tab(), await tab(), await tab()];
    for (const name of rounds) {
      const at = Date.now() + 100;
      const found = await Promise.all(tabs.map((place) => place.open(name, at)));
      assert.equal(found.filter((restored) => restored !== null).length, 1, name);
      await Promise.all(tabs.map((place, i) => place.save({ token: `${name} ${i}` })));
    }
    const { places } = await tabs[0]!.disk();
    assert.deepEqual(places, rounds.flatMap((name) => tabs.map((_, i) => `${name} ${i}`)).sort());
  }));

test("a copy of a tab has a place of its own", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    const [copy] = await Promise.all([
      place.page.waitForEvent("popup"),
      place.page.evaluate(() => void window.open(location.href)),
    ]);
    await copy.waitForFunction("globalThis.ready");
    const found = await copy.evaluate(async () => (await openStore("test")).restored);
    assert.equal(found, null);
    assert.deepEqual(await place.disk(), { places: ["", SAVED.token], messages: 2 });
  }));

test("an expired session is forgotten; if messages are left, after a week", () =>
  stage(async ({ tab }) => {
    const day = 24 * 3_600_000;
    const place = await tab();
    await place.open();
    await place.save({ expires: Date.now() - 1 });
    assert.equal(await place.reload(), null);
    assert.equal((await place.disk()).places.length, 1, "its place is gone");

    await place.put([1, "never acknowledged"]);
    await place.save({ expires: Date.now() - 6 * day });
    assert.deepEqual((await place.reload())?.messages, [[1, "never acknowledged"]]);
    await place.save({ expires: Date.now() - 8 * day });
    assert.equal(await place.reload(), null);
    assert.deepEqual(await place.disk(), { places: [""], messages: 0 });
  }));

test("positions go on at 0 after 2^32 - 1", () =>
  stage(async ({ tab }) => {
    const place = await tab();
    await place.open();
    await place.save({ acked: 4294967292 });
    const messages = [4294967293, 4294967294, 4294967295, 0, 1].map((n) => [n, `${n}`] as const);
    await place.put(...messages);
    await place.save({ acked: 4294967293 });
    assert.deepEqual((await place.reload())?.messages, messages.slice(1));
    await place.save({ acked: 0 });
    assert.deepEqual((await place.reload())?.messages, messages.slice(4));
    assert.equal((await place.disk()).messages, 1);
  }));

test("what follows a hole is not used, nor does it come back when the hole is filled", () =>
  stage(async ({ tab }) => {
    const place = await tab();
    await place.open();
    await place.put([1, "one"], [2, "two"], [4, "stale"]);
    await place.save();
    const found = (await place.reload())?.messages;
    assert.deepEqual(found, [
      [1, "one"],
      [2, "two"],
    ]);
    await place.put([3, "three"]);
    await place.save();
    assert.deepEqual((await place.reload())?.messages, [...found, [3, "three"]]);
  }));

test("what one task writes is one transaction", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    const transactions = await place.page.evaluate(async (saved) => {
      let count = 0;
      const { transaction } = IDBDatabase.prototype;
      IDBDatabase.prototype.transaction = function (...args) {
        count++;
        return transaction.apply(this, args);
      };
      for (let position = 3; position < 103; position++) store.put({ position, data: "" });
      await store.save(saved);
      return count;
    }, SAVED);
    assert.equal(transactions, 1);
    assert.equal((await place.reload())?.messages.length, 102);
  }));

test("a write that fails is told by save, and leaves nothing that a later life could mistake for the truth", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    await place.page.evaluate(() => {
      const { put, add } = IDBObjectStore.prototype;
      IDBObjectStore.prototype.put = function (...args) {
        return (this.name === "messages" ? add : put).apply(this, args);
      };
    });
    const refused = await place.page.evaluate(async (saved) => {
      store.put({ position: 2, data: "there is one already" });
      await new Promise<void>((resolve) => queueMicrotask(() => queueMicrotask(resolve)));
      store.put({
        position: 3,
        data: "could be written, by a transaction that began before the other one failed",
      });
      return store.save(saved).catch(({ message }) => message);
    }, SAVED);
    assert.match(refused, /^wsresilience: persist: .*ConstraintError/);
    await place.put([4, "ignored"]);
    assert.match(await place.save(), /ConstraintError/, "there is no way back");
    assert.equal(await place.reload(), null);
    assert.deepEqual(await place.disk(), { places: [""], messages: 0 });
  }));

test("a request that throws is told by save", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    await place.page.evaluate(() => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException("cannot be cloned", "DataCloneError");
      };
    });
    await place.put([3, "three"]);
    assert.match(await place.save(), /^wsresilience: persist: .*DataCloneError: cannot be cloned/);
  }));

test("somebody who deletes the database need not wait, and save tells", () =>
  stage(async ({ tab }) => {
    const place = await filled(await tab());
    const other = await tab();
    await other.page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const request = indexedDB.deleteDatabase("wsresilience");
          request.onsuccess = resolve;
          request.onerror = request.onblocked = reject;
        }),
    );
    assert.match(await place.save(), /persist: .*InvalidStateError/);
    assert.equal(await other.open(), null, "a new database");
    assert.equal(await other.save(), "");
  }));

test("where there is no IndexedDB, open says what to do", () =>
  stage(async ({ tab }) => {
    const none = await tab(() => {
      Object.defineProperty(globalThis, "indexedDB", { value: undefined });
    });
    await assert.rejects(none.open(), /IndexedDB cannot be opened .*: leave the option persist out/);
    const forbidden = await tab(() => {
      IDBFactory.prototype.open = () => {
        throw new DOMException("access is denied", "SecurityError");
      };
    });
    await assert.rejects(forbidden.open(), /leave the option persist out.*SecurityError: access is denied/);
  }));

test("a page in the back-forward cache keeps its place, and goes on with it", () =>
  stage(async ({ tab, site }) => {
    const place = await filled(await tab());
    await place.page.evaluate(() => {
      addEventListener("pageshow", ({ persisted }) => Object.assign(globalThis, { persisted }));
    });
    await place.page.goto(`${site.origin}/elsewhere`);
    const other = await tab();
    assert.equal(await other.open("unrelated"), null);
    await place.page.evaluate(() => history.back());
    await place.page.waitForFunction("globalThis.persisted !== undefined");
    assert.equal(await place.page.evaluate("globalThis.persisted"), true, "it really was in the cache");
    assert.equal(await other.open(), null, "the place was kept");
    await place.put([3, "three"]);
    assert.equal(await place.save(), "");
    assert.equal((await place.reload())?.messages.length, 3);
  }));
