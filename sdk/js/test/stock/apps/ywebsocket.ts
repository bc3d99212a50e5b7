// A shared text of Yjs, as the server of y-websocket keeps it, in a page with its provider.
import { join } from "node:path";
import { folder, numbersIn, run, type StockApp } from "../app.ts";

export const ywebsocket: StockApp = {
  name: "y-websocket",
  noRollout: "the text lives in the process",
  start: (port) => run(process.execPath, [join(folder, "apps/ywebsocket-server.cjs"), `${port}`], port),
  visit: async (page, origin) => {
    await page.goto(origin);
  },
  seen: (page) => numbersIn(page, "#text"),
};
