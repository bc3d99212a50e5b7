import type { Case, Ending, Place, Socket } from "./case.ts";
import { closing } from "./closing.ts";
import { connecting } from "./connecting.ts";
import { construction } from "./construction.ts";
import { handling } from "./handling.ts";
import { sending } from "./sending.ts";
import { shape } from "./shape.ts";

/** The table: what a WebSocket is (https://websockets.spec.whatwg.org/). */
const TABLE: Readonly<Record<string, readonly Case[]>> = {
  construction,
  connecting,
  sending,
  closing,
  handling,
  shape,
};

/** What became of a case: `error` is "" if it holds. */
export interface Outcome {
  readonly name: string;
  readonly error: string;
}

/** What a place is made of. */
export interface Setting {
  readonly type: Place["type"];
  /** Arguments beyond those of the standard. */
  readonly more?: readonly unknown[];
  /** Where the app is, with or without a sidecar before it. */
  readonly base: string;
  readonly nowhere: string;
  readonly ended: (url: string) => Promise<Ending>;
  /** Whether it is a page. */
  readonly page: boolean;
}

/** Makes a place that notes the sockets which were made there. */
function placeOf({ type, more = [], base, nowhere, ended }: Setting, sockets: Socket[]): Place {
  let count = 0;
  return {
    type,
    nowhere,
    ended,
    create: (...args) => {
      const all = args.length === 0 || more.length === 0 ? args : [args[0], args[1], ...more];
      const socket: Socket = Reflect.construct(type, all);
      sockets.push(socket);
      return socket;
    },
    url: (behaviour) => {
      const url = new URL(behaviour, base);
      url.searchParams.set("key", `${++count}.${Math.random()}`);
      return url.href;
    },
  };
}

/** Runs the cases that can run there, one after the other. */
export async function runTable(setting: Setting): Promise<Outcome[]> {
  const sockets: Socket[] = [];
  const place = placeOf(setting, sockets);
  const outcomes: Outcome[] = [];
  for (const [part, cases] of Object.entries(TABLE)) {
    for (const { name, page, run } of cases) {
      if (!page || setting.page) {
        const error = await Promise.resolve(place)
          .then(run)
          .then(
            () => "",
            (e) => `${e}`,
          );
        outcomes.push({ name: `${part}: ${name}`, error });
        for (const socket of sockets.splice(0)) {
          socket.close(); // of cases that failed half-way
        }
      }
    }
  }
  return outcomes;
}
