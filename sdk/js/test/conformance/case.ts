/** What the table looks at: a browser's WebSocket, or ours. Handlers are unknown, since some cases misuse them. */
export interface Socket extends EventTarget {
  readonly url: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly extensions: string;
  readonly protocol: string;
  binaryType: string;
  onopen: unknown;
  onmessage: unknown;
  onerror: unknown;
  onclose: unknown;
  send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void;
  close(code?: number, reason?: string): void;
}

/** How a socket ended, for the app behind it. */
export interface Ending {
  readonly code: number;
  readonly reason: string;
}

/** Where a case runs. */
export interface Place {
  /** The class. */
  readonly type: (new (...args: never[]) => Socket) & { readonly prototype: Socket };
  /** Calls the constructor with these arguments and no others. */
  create(...args: unknown[]): Socket;
  /** The address of a behaviour of the app: a path, with a query perhaps. No two are the same. */
  url(behaviour: string): string;
  /** Waits until the app's socket behind an address has ended. */
  ended(url: string): Promise<Ending>;
  /** An address where nobody listens. */
  readonly nowhere: string;
}

/** One line of the table. */
export interface Case {
  readonly name: string;
  /** It needs a page: relative addresses, or a browser's own way to report what a listener throws. */
  readonly page?: true;
  run(place: Place): unknown;
}

/** The classes' constants. */
export const CONNECTING = 0;
export const OPEN = 1;
export const CLOSING = 2;
export const CLOSED = 3;

/** How long an event may take, in ms: far more than it does, so that a slow machine is no failure. */
const DEADLINE = 10_000;

/** Refuses values that are not the same, compared as JSON. */
export function same(actual: unknown, wanted: unknown, what = ""): void {
  const [a, w] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (a !== w) {
    throw new Error(`${what}: ${a}, not ${w}`);
  }
}

export function holds(condition: boolean, what: string): void {
  if (!condition) {
    throw new Error(`not so: ${what}`);
  }
}

/** Refuses a call that does not throw an error of this name: a TypeError, or in pages a DOMException. */
export function throws(name: string, call: () => unknown, what = ""): void {
  let thrown: unknown;
  try {
    call();
  } catch (e) {
    thrown = e;
  }
  const page = typeof document === "object";
  const type = name === "TypeError" ? TypeError : page ? DOMException : Error;
  holds(thrown instanceof type && thrown.name === name, `${what} throws a ${name}: ${thrown}`);
}

/** Waits for an event. */
export function next<E extends Event>(target: EventTarget, type: string): Promise<E> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${type} within ${DEADLINE} ms`)), DEADLINE);
    const listener = (event: Event) => {
      clearTimeout(timer);
      resolve(event as E);
    };
    target.addEventListener(type, listener, { once: true });
  });
}

/** Waits for so many messages and returns what they carried. Several may come in one task outside of pages. */
export function messages(socket: Socket, count: number): Promise<unknown[]> {
  const all: unknown[] = [];
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${all.length} messages, not ${count}`)), DEADLINE);
    const listener = ({ data }: Event & { data?: unknown }) => {
      if (all.push(data) === count) {
        clearTimeout(timer);
        socket.removeEventListener("message", listener);
        resolve(all);
      }
    };
    socket.addEventListener("message", listener);
  });
}

/** Opens a socket. */
export async function opened(place: Place, behaviour: string, ...rest: unknown[]): Promise<Socket> {
  const socket = place.create(place.url(behaviour), ...rest);
  await next(socket, "open");
  return socket;
}

/** Closes a socket of which nothing more is wanted. */
export async function done(socket: Socket): Promise<void> {
  if (socket.readyState !== CLOSED) {
    const closed = next(socket, "close");
    socket.close();
    await closed;
  }
}

/** Notes the events of a socket in their order, with its `readyState` at each. */
export function noted(socket: Socket): string[] {
  const events: string[] = [];
  for (const type of ["open", "message", "error", "close"]) {
    socket.addEventListener(type, () => events.push(`${type} ${socket.readyState}`));
  }
  return events;
}
