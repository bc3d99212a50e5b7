// Takes the pictures of docs/CONSOLE.md: node --import tsx test/browser/console-pictures.ts
import { fileURLToPath } from "node:url";
import { crowd } from "./crowd.ts";

const file = (name: string) =>
  fileURLToPath(new URL(`../../../../docs/images/console-${name}.png`, import.meta.url));

/** Milliseconds in which the stream of events has something to show. */
const SOME = 3000;

await crowd(["-sessions", "10000"], async ({ visit }) => {
  const take = async (name: string, hash: string, options: Parameters<typeof visit>[1], select?: string) => {
    const page = await visit(hash, options);
    if (hash.startsWith("events")) await page.waitForTimeout(SOME);
    if (select !== undefined) {
      await page.locator(select).first().click();
      await page.locator("#detail h3").first().waitFor();
    }
    await page.waitForTimeout(500);
    await page.screenshot({ path: file(name) });
    console.log(file(name));
    await page.context().close();
  };
  const wide = { width: 1360, height: 760 };
  const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
  await take(
    "light",
    "sessions?sort=deviation",
    { viewport: wide, colorScheme: "light" },
    "tbody tr:nth-child(12)",
  );
  await take("dark", "ended", { viewport: wide, colorScheme: "dark" }, "tbody tr:nth-child(2)");
  await take("phone", "sessions?state=detached&sort=expires", { ...phone, colorScheme: "light" });
});
