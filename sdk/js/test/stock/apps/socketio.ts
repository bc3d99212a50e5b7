// The chat of Socket.IO's own tutorial: its client is the one that the server delivers, and begins by polling.
import { join } from "node:path";
import { folder, numbersIn, run, type StockApp } from "../app.ts";

export const socketio: StockApp = {
  name: "Socket.IO chat",
  start: (port) => run(process.execPath, [join(folder, "apps/socketio-server.mjs"), `${port}`], port),
  visit: async (page, origin) => {
    await page.goto(origin);
  },
  seen: (page) => numbersIn(page, "#messages li"),
};
