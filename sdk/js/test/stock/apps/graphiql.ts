// GraphiQL as Yoga delivers it, with a subscription by graphql-ws.
import { join } from "node:path";
import { folder, noted, noteNumbers, run, type StockApp } from "../app.ts";

export const graphiql: StockApp = {
  name: "GraphiQL",
  start: (port) => run(process.execPath, [join(folder, "apps/graphiql-server.mjs"), `${port}`], port),
  visit: async (page, origin) => {
    await noteNumbers(page, '"tick":(\\d+)');
    await page.goto(`${origin}/graphql?query=${encodeURIComponent("subscription { tick }")}`);
    await page.click(".graphiql-execute-button", { timeout: 60_000 });
  },
  seen: noted,
};
