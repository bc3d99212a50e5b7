// Takes the picture of the README: node --import tsx test/browser/screenshot.ts
import { fileURLToPath } from "node:url";
import { until } from "../rig.ts";
import { demo } from "./demo.ts";

const file = fileURLToPath(new URL("../../../../docs/images/demo.png", import.meta.url));

/** Milliseconds of a quiet line before the first fault, and between two. */
const FIRST = 12_000;
const QUIET = 5_000;

await demo(["-every", "1m", "-kill", "0", "-drain", "0"], async ({ visit }) => {
  const visitor = await visit({ colorScheme: "dark", viewport: { width: 1280, height: 780 } });
  const { page } = visitor;
  await page.waitForTimeout(FIRST);
  for (const button of ["tunnel", "cut", "restart", "drain"] as const) {
    await visitor.press(button, async () => true);
    await page.waitForTimeout(QUIET);
  }
  await page.mouse.move(0, 0);
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  const resumes = await visitor.number("resilient", "comebacks");
  await page.keyboard.press("h");
  // The moment at which one of them is back already.
  await until(async () => (await visitor.number("resilient", "comebacks")) > resumes, "a resume");
  const both = async () => /^[1-9]\d* · [1-9]/.test(await visitor.text('#resilient [data-value="rate"]'));
  await until(both, "messages both ways");
  await until(
    async () => /silent|no connection/.test(await visitor.text("#plain .state")),
    "an outage of the plain socket",
  );
  await page.screenshot({ path: file });
  console.log(file);
});
