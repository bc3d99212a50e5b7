import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

/** The folder of the examples. */
export const EXAMPLES = fileURLToPath(new URL("../../../../examples/", import.meta.url));

export interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly restart?: string;
  readonly network_mode?: string;
  readonly depends_on?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly configs?: readonly { source: string; target: string }[];
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly configs: Readonly<Record<string, { content: string }>>;
  readonly volumes: Readonly<Record<string, null>>;
}

/** Reads a compose file, with what it includes, and with defaults in the place of variables. */
export function readCompose(file: string): Compose {
  const text = readFileSync(file, "utf8").replace(/\$\{\w+:-([^}]*)\}/g, "$1");
  const own = parse(text, { merge: true }) as Partial<Compose> & { include?: string[] };
  const parts = (own.include ?? []).map((name) => readCompose(join(dirname(file), name)));
  return {
    services: Object.assign({}, ...parts.map(({ services }) => services), own.services),
    configs: Object.assign({}, ...parts.map(({ configs }) => configs), own.configs),
    volumes: Object.assign({}, ...parts.map(({ volumes }) => volumes), own.volumes),
  };
}

/** What a Dockerfile's image runs. */
export function imageCommand(folder: string): string[] {
  const [, json] = /^CMD (\[.*\])$/m.exec(readFileSync(join(folder, "Dockerfile"), "utf8")) ?? [];
  return JSON.parse(json ?? "[]");
}
