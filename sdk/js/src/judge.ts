import type { Options } from "./options.ts";

/** Whether a value is possible, and what is. */
type Rule = readonly [fits: (value: unknown) => boolean, allowed: string];

const isFunction = (value: unknown) => typeof value === "function";
const yesOrNo: Rule = [(value) => typeof value === "boolean", "true or false"];
const above = (least: number, what: string): Rule => [
  (value) => typeof value === "number" && value >= least,
  `${what}, ${least} or more`,
];

/** Every option: the compiler sees that none is missing. */
const RULES: Record<keyof Options, Rule> = {
  adopt: [
    (value) => typeof value === "boolean" || value === "reopen" || isFunction(value),
    'true, false, "reopen" or a function',
  ],
  newSessionAfterReset: yesOrNo,
  persist: [isFunction, "what indexedDBStore(name) of wsresilience/persist returns"],
  share: [isFunction, "what tabs(name) of wsresilience/share or devices() of wsresilience/devices returns"],
  keys: [isFunction, "what keys() of wsresilience/keys returns"],
  retryInitialConnect: yesOrNo,
  outboxMessages: above(1, "a number of messages"),
  outboxBytes: above(1, "a number of bytes"),
  connectTimeout: above(1, "a number of milliseconds"),
  reconnectDelay: above(0, "a number of milliseconds"),
  maxReconnectDelay: above(0, "a number of milliseconds"),
  signal: [(value) => isFunction((value as AbortSignal | null)?.addEventListener), "an AbortSignal"],
  logger: [
    (value) => isFunction((value as Console | null)?.warn) && isFunction((value as Console | null)?.info),
    "an object with the functions info and warn",
  ],
  webSocket: [isFunction, "a class like WebSocket"],
};

/** Names that are so far apart are not meant for each other. */
const MAX_DISTANCE = 3;

/** Throws a TypeError that says what is wrong with the options, and what is possible. */
export function judge(options: unknown): void {
  if (options === undefined) {
    return;
  }
  if (options !== Object(options)) {
    throw wrong(`the options are ${shown(options)}; they must be an object`);
  }
  for (const [name, value] of Object.entries(options as object)) {
    const rule = Object.hasOwn(RULES, name) ? RULES[name as keyof Options] : undefined;
    if (!rule) {
      throw wrong(`option ${JSON.stringify(name)} is unknown: ${meant(name)}`);
    }
    const [fits, allowed] = rule;
    if (!fits(value)) {
      throw wrong(`option ${JSON.stringify(name)} is ${shown(value)}; it must be ${allowed}`);
    }
  }
}

function wrong(what: string): TypeError {
  return new TypeError(`wsresilience: ${what}`);
}

function shown(value: unknown): string {
  const simple = value === null || ["string", "number", "boolean", "undefined"].includes(typeof value);
  return simple
    ? typeof value === "string"
      ? JSON.stringify(value)
      : `${value}`
    : `of type ${typeof value}`;
}

/** Returns what may have been meant by a name, or what there is. */
function meant(name: string): string {
  const names = Object.keys(RULES);
  const far = (other: string) => distance(name.toLowerCase(), other.toLowerCase());
  const nearest = names.reduce((best, other) => (far(other) < far(best) ? other : best));
  return far(nearest) <= MAX_DISTANCE ? `did you mean "${nearest}"?` : `there are ${names.join(", ")}`;
}

/** How many letters have to be inserted, deleted or replaced to make one word of the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      next.push(Math.min(row[j]! + (letter === other ? 0 : 1), row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
