// The class as Node and development builds have it: it judges its options. Pages that are built for production do not
// pay for that.
import type { DomURL } from "./dom.ts";
import { judge } from "./judge.ts";
import type { Fresh, Options } from "./options.ts";
import { ResilientWebSocket as Unchecked } from "./resilient-websocket.ts";

export class ResilientWebSocket extends Unchecked {
  static override get name(): string {
    return Unchecked.name;
  }

  constructor(url: Fresh<string | DomURL | null>, protocols?: Fresh<string | string[]>, options?: Options) {
    judge(options);
    // As many arguments as were given: none are an error.
    super(...(arguments as unknown as [typeof url, typeof protocols, Options]));
  }
}
