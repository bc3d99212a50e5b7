import { fileURLToPath } from "node:url";
import type * as Source from "../../src/index.ts";
import type * as KeysSource from "../../src/keys.ts";

/** The class of the source, or of a file in `dist` (published.mjs). */
const { WSR_PUBLISHED } = process.env;
const file = WSR_PUBLISHED ? `../../dist/${WSR_PUBLISHED}` : "../../src/index.ts";
const module: typeof Source = await import(fileURLToPath(new URL(file, import.meta.url)));

const keysFile = WSR_PUBLISHED ? "../../dist/keys.js" : "../../src/keys.ts";
const keysModule: typeof KeysSource = await import(fileURLToPath(new URL(keysFile, import.meta.url)));

export const { keys } = keysModule;
export const { ResilientWebSocket } = module;
export type ResilientWebSocket = Source.ResilientWebSocket;
