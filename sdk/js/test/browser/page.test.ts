// The page of `wsresilience-sidecar demo`, as visitors use it.
import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer } from "node:net";
import { test } from "node:test";
import { findings } from "../rig/axe.ts";
import { until } from "../rig.ts";
import { demo, KEYS, type Visit } from "./demo.ts";

/** Nothing is broken but by the page. */
const CALM = ["-every", "1m", "-kill", "0", "-drain", "0"];

test("each button does what it says, and the resilient socket loses nothing", () =>
  demo(CALM, async ({ visit }) => {
    const page = await visit();
    const state = (): Promise<string> => page.text("#resilient .state");
    const network = (): Promise<string> => page.text("#network");
    const before = await page.text("#pods");

    await page.press(
      "cut",
      async () => (await network()).startsWith("cut") && /no connection/.test(await state()),
    );
    assert.ok((await page.number("resilient", "worst")) > 1.5, "it took as long as the cut");
    assert.ok((await page.number("plain", "unsent")) > 0, "the app could not write to the plain socket");
    await page.keepsItsPromise();

    const resumes = await page.number("resilient", "comebacks");
    for (let i = 0; i < 2; i++) {
      await page.press("half", async () => (await network()).startsWith("half-open"));
      await until(async () => (await page.number("resilient", "comebacks")) > resumes + i, "a resume");
      await page.flows();
    }
    await until(async () => (await page.number("plain", "lost")) > 0, "the plain socket loses messages");
    await page.keepsItsPromise();

    await page.press("slow", async () => (await network()).startsWith("slow"));
    await page.keepsItsPromise();

    for (const [i, button] of (["restart", "kill", "drain"] as const).entries()) {
      await page.press(button, async () => (await page.adoptions()) > i);
      await page.keepsItsPromise();
    }
    assert.notEqual(await page.text("#pods"), before, "killed and drained pods were replaced");
    const story = await page.text("#story");
    assert.match(story, /drains/);
    // Owed: a drain that could not wait for an answer of the app, as on a busy machine.
    assert.match(story, /adopted, a new app socket \((drained|owed)\)/);
  }));

test("a tunnel leaves holes in what the plain socket types, and none in the other's", () =>
  demo(CALM, async ({ visit }) => {
    const page = await visit();
    const letters = (lane: string, state: string): Promise<number> =>
      page.page.locator(`#${lane} .typed [data-state="${state}"]`).count();
    await until(async () => (await letters("plain", "came")) > 20, "letters");
    assert.equal(await page.page.locator("#hint").isVisible(), true, "it says where to press");
    await page.press("tunnel", async () => /dead connection/.test(await page.text("#plain .word")));
    assert.equal(await page.page.locator("#hint").isVisible(), false);
    await until(async () => (await page.number("plain", "never")) > 50, "what never arrived");
    assert.ok((await letters("plain", "never")) > 20, "holes in the text");
    assert.equal(await letters("resilient", "never"), 0);
    assert.equal(await page.number("resilient", "never"), 0);
    assert.equal(await page.text("#resilient .word"), "", "nothing is left to explain");
    const sum = (await page.number("plain", "lost")) + (await page.number("plain", "unsent"));
    assert.ok((await page.number("plain", "never")) >= sum - 1, "lost and missed together");
    await page.page.locator('[data-button="kill"]').click();
    await until(
      async () => /Its pod was killed/.test(await page.text("#resilient .word")),
      "a word of the wait",
    );
    await page.flows();
    await page.keepsItsPromise();
  }));

test("one port is enough, under any name: that of a forwarded port", () =>
  demo(CALM, async ({ url, visit }) => {
    const there = Number(new URL(url).port);
    const forward = createServer((near) => {
      const far = connect(there, "127.0.0.1");
      near.pipe(far).pipe(near);
      near.on("error", () => far.destroy()).on("close", () => far.destroy());
      far.on("error", () => near.resetAndDestroy());
    });
    await new Promise<void>((resolve) => forward.listen(0, "127.0.0.1", resolve));
    try {
      const at = `http://desk.localhost:${(forward.address() as AddressInfo).port}/`;
      const page = await visit({}, at);
      await page.press("cut", async () => (await page.text("#network")).startsWith("cut"));
      await page.keepsItsPromise();
      assert.ok((await page.number("resilient", "comebacks")) > 0);
      const code = page.page.locator("#code");
      assert.ok((await code.evaluate((image: HTMLImageElement) => image.naturalWidth)) > 0, "a code to scan");
      assert.equal(await page.page.locator("#others").inputValue(), at);
    } finally {
      forward.close();
    }
  }));

test("a screen for a room has large type, and leaves out what cannot be read from there", () =>
  demo(CALM, async ({ visit }) => {
    const page = await visit({ viewport: { width: 1920, height: 1080 } });
    const size = (): Promise<number> =>
      page.page
        .locator('#plain [data-value="never"]')
        .evaluate((element) => Number.parseFloat(getComputedStyle(element).fontSize));
    const before = await size();
    await page.page.keyboard.press("f");
    assert.ok((await size()) > 1.5 * before);
    assert.equal(await page.page.locator("#plain .small").isVisible(), false);
    for (const seen of ["#code", "#plain .typed", '[data-button="tunnel"]', "#chart"]) {
      assert.equal(await page.page.locator(seen).isVisible(), true, seen);
    }
    await page.page.keyboard.press("f");
    assert.equal(await size(), before);
  }));

test("nobody is kept out by how it looks: axe has no findings", () =>
  demo(CALM, async ({ visit }) => {
    const visitor = await visit();
    const { page } = visitor;
    const look = async (when: string): Promise<void> => {
      for (const colorScheme of ["dark", "light"] as const) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await findings(page), [], `${when}, ${colorScheme}`);
      }
    };
    await look("whole");
    await page.locator("#stage").click();
    await visitor.press("cut", async () => {
      if (!(await visitor.text("#network")).startsWith("cut")) return false;
      await look("cut and large");
      return true;
    });
    await page.setViewportSize({ width: 360, height: 800 });
    await look("on a phone");
  }));

test("after half a minute without a network nothing is missing", () =>
  demo(CALM, async ({ visit }) => {
    const page = await visit();
    await page.press("long-cut", async () =>
      /no connection [12]\d/.test(await page.text("#resilient .state")),
    );
    await page.keepsItsPromise();
    assert.ok((await page.number("plain", "unsent")) > 500, "the plain socket was not there for as long");
    assert.equal(await page.number("resilient", "unsent"), 0);
  }));

test("a visitor cuts nobody else's network, and a kill hits everybody", () =>
  demo(CALM, async ({ visit }) => {
    const one = await visit();
    const two = await visit();
    await one.press("cut", async () => (await one.text("#network")).startsWith("cut"));
    assert.equal(await two.number("plain", "comebacks"), 0);
    assert.equal(await two.number("resilient", "comebacks"), 0);
    await one.press("kill", async () => (await one.adoptions()) > 0);
    await two.flows();
    assert.match(await two.text("#story"), /killed, sidecar and app/);
    await one.keepsItsPromise();
    await two.keepsItsPromise();
  }));

test("while a page is open nothing is broken by itself, unless auto is on", () =>
  demo(["-every", "300ms", "-kill", "1s", "-drain", "0"], async ({ visit, output }) => {
    const faults = (): string =>
      output()
        .match(/\d+ cuts?, \d+ kills?, \d+ drains?/g)
        ?.at(-1) ?? "";
    await until(() => /\d\d cuts, [1-9]/.test(faults()), "the terminal's own faults");
    const page = await visit();
    const story = await page.text("#story");
    const before = faults();
    const lines = output().length;
    await page.page.waitForTimeout(3_000); // ten cuts and three kills would have come
    assert.notEqual(output().length, lines, "it goes on printing");
    assert.equal(faults(), before);
    assert.doesNotMatch(story, /network/);
    await page.page.locator("#auto").click();
    await until(
      async () => (await page.page.locator("#auto").getAttribute("aria-pressed")) === "true",
      "auto",
    );
    await until(
      async () => /network: (cut|slow|half)|killed|drains/.test(await page.text("#story")),
      "a fault",
    );
    await page.page.locator("#auto").click();
    await until(
      async () => (await page.page.locator("#auto").getAttribute("aria-pressed")) === "false",
      "no auto",
    );
    await page.flows();
    await page.keepsItsPromise();
    await page.page.context().close();
    await until(() => faults() !== before, "the terminal's own faults again");
  }));

/** Tabs through the page and returns what has had the focus, each with a visible ring. */
async function tabThrough({ page }: Visit): Promise<string[]> {
  const seen: string[] = [];
  for (let i = 0; i < 30; i++) {
    await page.keyboard.press("Tab");
    const [name, width] = await page.evaluate(() => {
      const element = document.activeElement as HTMLElement;
      return [
        element.getAttribute("data-button") ?? element.id,
        getComputedStyle(element).outlineWidth,
      ] as const;
    });
    if (name === "") continue;
    assert.ok(Number.parseFloat(width) >= 2, `${name} shows that it has the focus`);
    seen.push(name);
  }
  return seen;
}

test("everything can be done with the keyboard", () =>
  demo(CALM, async ({ visit }) => {
    const page = await visit();
    const reached = await tabThrough(page);
    for (const name of [...Object.keys(KEYS), "auto", "theme", "stage", "others"])
      assert.ok(reached.includes(name), `${name} is reached`);
    await page.page.locator('[data-button="half"]').focus();
    await page.page.keyboard.press("Enter");
    await until(async () => (await page.text("#network")).startsWith("half-open"), "a press of Enter");
    assert.equal(
      await page.page.evaluate(() => (document.activeElement as HTMLElement).getAttribute("data-button")),
      "half",
      "the button keeps the focus while it cannot be pressed",
    );
    await page.flows();
    await page.page.keyboard.press("Control+c");
    await page.page.keyboard.press(KEYS.cut);
    await until(async () => (await page.text("#network")).startsWith("cut"), "the key of a button");
    await page.page.keyboard.press(KEYS.cut);
    await until(async () => (await page.text("#story")).includes("not now"), "an answer to a press in vain");
    await page.flows();
    assert.equal((await page.text("#story")).match(/network: cut/g)?.length, 1);
  }));

test("it fits screens of all widths, in both themes", () =>
  demo(CALM, async ({ visit }) => {
    const paper = new Set<string>();
    for (const colorScheme of ["dark", "light"] as const) {
      const page = await visit({ colorScheme, viewport: { width: 360, height: 800 } });
      await page.press("cut", async () => (await page.text("#network")).startsWith("cut"));
      for (const width of [360, 768, 1024, 1280, 1920]) {
        await page.page.setViewportSize({ width, height: 800 });
        const wide = await page.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${colorScheme}: ${wide} pixels on a screen of ${width}`);
      }
      const background = (): Promise<string> =>
        page.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const before = await background();
      paper.add(before);
      await page.page.locator("#theme").click();
      assert.notEqual(await background(), before, "the switch changes the theme");
      await page.page.reload();
      assert.notEqual(await background(), before, "and it stays so");
      await page.flows();
    }
    assert.equal(paper.size, 2, "the system's theme is followed");
  }));

test("the page says when the demo is over", async () => {
  await demo([...CALM, "-for", "4s"], async ({ visit }) => {
    const page = await visit();
    await until(async () => (await page.text("#notice")).includes("is it still running"), "a notice");
  });
});

/** A module of the page that needs no browser. */
const module = (name: string) =>
  import(new URL(`../../../../internal/demo/page/${name}`, import.meta.url).href);

test("messages are due by the clock, however late a timer comes", async () => {
  const { Lane } = await module("lane.js");
  const sent: string[] = [];
  const told: { up(): void }[] = [];
  const open = (_url: string, on: { up(): void }): object => {
    told.push(on);
    return { send: (text: string) => sent.push(text) };
  };
  const lane = new Lane("plain", open, { rate: 20, lastWords: 40 }, () => {});
  const step = (now: number): number => {
    const before = sent.length;
    lane.produce(now);
    return sent.length - before;
  };
  assert.equal(step(performance.now()), 0, "nothing before there is a connection");
  told[0]!.up();
  const began = performance.now();
  assert.equal(step(began + 1_040), 20);
  assert.equal(step(began + 1_041), 0);
  assert.equal(step(began + 11_040), 200, "a hidden tab's timer");
  assert.equal(step(began + 3_600_000), 1_200, "a sleep of an hour is not made up for");
  assert.equal(step(began + 3_601_000), 20);
  assert.deepEqual(
    sent,
    Array.from({ length: sent.length }, (_, i) => `${i + 1}`),
  );
});

// What a client heard, "socket number", and what the server told of the sockets, in order.
const HEARD = [
  { name: "all is well", heard: ["1.1 1", "1.1 2"], told: [2], want: { received: 2 } },
  {
    name: "one between others is missing",
    heard: ["1.1 1", "1.1 3"],
    told: [3],
    want: { received: 2, lost: 1 },
  },
  { name: "it comes late", heard: ["1.1 2", "1.1 1"], told: [2], want: { received: 2, reordered: 1 } },
  { name: "twice", heard: ["1.1 1", "1.1 1"], told: [1], want: { received: 1, duplicated: 1 } },
  { name: "under way", heard: ["1.1 1"], told: [3], want: { received: 1 } },
  { name: "the old socket's last", heard: ["1.1 1", "1.2 1"], told: [3, 1], want: { received: 2, lost: 2 } },
  {
    name: "a socket that was never heard",
    heard: ["1.1 1", "1.3 1"],
    told: [1, 5, 1],
    want: { received: 2, lost: 5 },
  },
  {
    name: "a kill's last",
    heard: ["1.1 1", "1.2 1"],
    told: [3, 1],
    killed: 1,
    want: { received: 2, gone: 2 },
  },
  {
    name: "too many for a kill",
    heard: ["1.1 1", "1.2 1"],
    told: [9, 1],
    killed: 1,
    want: { received: 2, lost: 8 },
  },
  {
    name: "a kill explains no gap",
    heard: ["1.1 2", "1.2 1"],
    told: [2, 1],
    killed: 1,
    want: { received: 2, lost: 1 },
  },
  { name: "nobody's", heard: ["9.9 1"], told: [], want: { received: 1 } },
];

for (const { name, heard, told, killed = 0, want } of HEARD) {
  test(`what comes to the browser is counted: ${name}`, async () => {
    const { Count } = await module("count.js");
    const sockets = told.map((n, i) => ({ socket: `1.${i + 1}`, order: i + 1, told: n, killed: i < killed }));
    for (const early of [true, false]) {
      const count = new Count(4);
      if (early) count.learn(sockets);
      for (const text of heard) count.hear(text);
      count.learn(sockets);
      assert.deepEqual(count.total, { lost: 0, duplicated: 0, reordered: 0, gone: 0, ...want });
    }
  });
}

test("the sockets of a long visit are forgotten, and what came over them is not", async () => {
  const { Count } = await module("count.js");
  const count = new Count(0);
  for (let order = 1; order <= 200; order++) {
    count.learn([{ socket: `1.${order}`, order, told: 2, killed: false }]);
    count.hear(`1.${order} 1`);
  }
  assert.deepEqual(count.total, { received: 200, lost: 199, duplicated: 0, reordered: 0, gone: 0 });
});
