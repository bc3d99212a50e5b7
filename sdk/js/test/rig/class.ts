import { fileURLToPath } from "node:url";
import type * as Source from "../../src/index.ts";

/** The class of the source, or of a file in `dist` (published.mjs). */
const { WSR_PUBLISHED } = process.env;
const file = WSR_PUBLISHED ? `../../dist/${WSR_PUBLISHED}` : "../../src/index.ts";
const module: typeof Source = await import(fileURLToPath(new URL(file, import.meta.url)));

export const { ResilientWebSocket } = module;
export type ResilientWebSocket = Source.ResilientWebSocket;
