// All of the package, for pages that have no bundler: `wsresilience.ResilientWebSocket`, and so on.
export { ResilientWebSocket } from "./checked.ts";
export { devices } from "./devices.ts";
export { keys } from "./keys.ts";
export { messages } from "./messages.ts";
export { customStore, indexedDBStore } from "./persist.ts";
export { tabs } from "./share.ts";
