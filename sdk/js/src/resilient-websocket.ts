import type {
  Disposing,
  DomCloseEvent,
  DomEvent,
  DomEventTarget,
  DomListener,
  DomListenOptions,
  DomMessageEvent,
  DomURL,
  DomWebSocket,
} from "./dom.ts";
import { type Act, type Driven, Driver, type StartShare } from "./driver.ts";
import type {
  AdoptedEvent,
  ConnectFailedEvent,
  RejectedEvent,
  ResetEvent,
  ResilientWebSocketEventMap,
  ResumedEvent,
  State,
  StateChangeEvent,
} from "./events.ts";
import type { AppMessage, Restore } from "./machine.ts";
import type {
  AdoptFunction,
  DeliverOptions,
  Fate,
  Fresh,
  Options,
  Sendable,
  Settings,
  WebSocketConstructor,
} from "./options.ts";
import type { Receipt } from "./outbox.ts";
import { closeCode, defineShape, failure, invalid, toData } from "./standard.ts";
import type { Data } from "./store.ts";
import { sizeOf } from "./utf8.ts";

/** Options says what they are. */
const DEFAULTS = {
  outboxMessages: 65_536,
  outboxBytes: 16 << 20,
  connectTimeout: 10_000,
  reconnectDelay: 100,
  logger: console,
} as const;

const OPEN = 1;
const CLOSING = 2;

/** States by the `readyState` that each leads to at least: nothing leads back, and `reconnecting` nowhere. */
const READY_STATES: readonly State[] = ["connecting", "connected", "closing", "closed"];

/** `this` is what a WebSocket's handler may count on, so that this class can stand for that one in types too. */
type Handler<E extends DomEvent> = ((this: DomWebSocket, event: E) => unknown) | null;

/** `addEventListener` with the types of our events. */
interface Listen {
  <K extends keyof ResilientWebSocketEventMap>(
    type: K,
    listener: (this: DomWebSocket, event: ResilientWebSocketEventMap[K]) => unknown,
    options?: DomListenOptions,
  ): void;
  (type: string, listener: DomListener | null, options?: DomListenOptions): void;
}

/** An EventTarget, as it is declared for those who have no library of the DOM. */
const Target = EventTarget as unknown as new () => DomEventTarget & Disposing;

/**
 * A WebSocket whose session outlives its connections, behind a wsresilience sidecar; elsewhere an ordinary
 * WebSocket. It passes for a WebSocket (WHATWG) in all that one has.
 *
 * While the network is away, `readyState` stays OPEN, `send` fills the outbox, and no event is fired but
 * `statechange`. `close` is fired once, at the end of the session.
 */
export class ResilientWebSocket extends Target {
  declare static readonly CONNECTING: 0;
  declare static readonly OPEN: 1;
  declare static readonly CLOSING: 2;
  declare static readonly CLOSED: 3;
  declare readonly CONNECTING: 0;
  declare readonly OPEN: 1;
  declare readonly CLOSING: 2;
  declare readonly CLOSED: 3;

  declare onopen: Handler<DomEvent>;
  declare onmessage: Handler<DomMessageEvent>;
  declare onerror: Handler<DomEvent>;
  declare onclose: Handler<DomCloseEvent>;
  declare onresumed: Handler<ResumedEvent>;
  declare onadopted: Handler<AdoptedEvent>;
  declare onrejected: Handler<RejectedEvent>;
  declare onreset: Handler<ResetEvent>;
  declare onconnectfailed: Handler<ConnectFailedEvent>;
  declare onstatechange: Handler<StateChangeEvent>;

  declare addEventListener: Listen;
  declare removeEventListener: Listen;

  readonly #driver: Driven;
  readonly #settings: Settings;
  #origin = "";
  #readyState = 0;
  #state: State = "connecting";
  #binaryType: BinaryType = "blob";
  /** What `send` took after the end: `bufferedAmount` never goes back (WHATWG). */
  #discarded = 0;

  /** The handlers that are set, by attribute, and the listener that calls them. */
  readonly #handlers: Record<string, unknown> = {};
  readonly #handle = (event: Event) => {
    const handler = this.#handlers[`on${event.type}`];
    if (typeof handler === "function") {
      handler.call(this, event);
    }
  };

  static {
    for (const type of "open message error close resumed adopted rejected reset connectfailed statechange".split(
      " ",
    )) {
      const name = `on${type}`;
      const attribute: ThisType<ResilientWebSocket> = {
        get [name]() {
          return this.#handlers[name] ?? null;
        },
        // An object that is no function is kept and does nothing; anything else is null (HTML, "event handler
        // IDL attributes"). A listener's place in the order is that of its first handler.
        set [name](handler: unknown) {
          this.#handlers[name] = handler = Object(handler) === handler ? handler : null;
          EventTarget.prototype[handler ? "addEventListener" : "removeEventListener"].call(
            this,
            type,
            this.#handle,
          );
        },
      };
      Object.defineProperty(this.prototype, name, Object.getOwnPropertyDescriptor(attribute, name)!);
    }
    defineShape(this);
  }

  /**
   * Connects. Throws a SyntaxError as a WebSocket does, if `url` or `protocols` are values that are not
   * valid; about functions and promises the page hears later, by `error` and `close`.
   */
  constructor(
    url: Fresh<string | DomURL | null>,
    protocols: Fresh<string | string[]> = [],
    options: Options = {},
  ) {
    super();
    if (!arguments.length) {
      throw invalid(); // as WebIDL says of a call without its argument; `undefined` would be one
    }
    const { webSocket = globalThis.WebSocket as unknown as WebSocketConstructor } = options;
    this.#settings = { ...DEFAULTS, ...options, webSocket };
    const make = (settings: Settings, act: Act) => new Driver(url, protocols, settings, act);
    const act: Act = (output) => this.#dispatch(output);
    this.#driver =
      ((options.share ?? options.keys) as StartShare | undefined)?.(make, this.#settings, act) ??
      make(this.#settings, act);
    options.signal?.addEventListener("abort", () => this.close());
  }

  /** Serialised; "" until a function or promise has told it. */
  get url(): string {
    return this.#driver.serverUrl;
  }

  get readyState(): 0 | 1 | 2 | 3 {
    return this.#readyState as 0 | 1 | 2 | 3;
  }

  /** The app's choice of `protocols`. */
  get protocol(): string {
    return this.#driver.core.appProtocol;
  }

  get extensions(): string {
    return this.#driver.agreed;
  }

  /** Bytes that were not yet given to a transport. */
  get bufferedAmount(): number {
    return this.#driver.unsent + this.#discarded;
  }

  get binaryType(): "blob" | "arraybuffer" {
    return this.#binaryType;
  }

  set binaryType(type: "blob" | "arraybuffer") {
    this.#binaryType = type === "blob" || type === "arraybuffer" ? type : this.#binaryType;
  }

  /** Where the session stands; `readyState` says less. */
  get state(): State {
    return this.#state;
  }

  /** Whether there is a sidecar. Known from `open` on, and then the same, so that no event tells of it. */
  get resilient(): boolean {
    const { opened, plain } = this.#driver.core;
    return opened && !plain;
  }

  /** The session's name in the sidecar's logs; it grants nothing. "" without a sidecar. */
  get sessionId(): string {
    return this.#driver.core.session;
  }

  /** Bytes that the app has not acknowledged, those in `bufferedAmount` included. Without a sidecar, 0. */
  get unacknowledged(): number {
    return this.#driver.core.out.unackedBytes;
  }

  /**
   * Sends a message, once and in order, over any number of connections. Throws an InvalidStateError before
   * `open`, and a QuotaExceededError if the outbox is full or the message larger than the sidecar takes.
   */
  send(data: Sendable): void {
    if (!arguments.length) {
      throw invalid(); // as WebIDL says of a call without its argument; `undefined` would be one
    }
    const message = toData(data);
    if (!this.#readyState) {
      throw failure("InvalidStateError", "not open");
    }
    if (this.#readyState === OPEN || this.#driver.core.restoring?.takesAll) {
      this.#take(message);
    } else {
      this.#discarded += sizeOf(message);
    }
  }

  /**
   * Like `send`; the promise resolves when the message was handed to the app's socket, and rejects when it
   * is not known whether it will ever be: the session was lost, or closed before; or if it was given up
   * (`rejected`). Without a sidecar it
   * resolves when the message was given to the transport.
   *
   * With a key, and the option `keys`, the promise resolves with what became of the message. It rejects with a
   * NotSupportedError where nobody takes keys, and nothing is sent.
   */
  deliver(data: Sendable): Promise<void>;
  deliver(data: Sendable, options: DeliverOptions): Promise<Fate>;
  deliver(data: Sendable, options?: DeliverOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#readyState !== OPEN) {
        throw failure("InvalidStateError", "not open");
      }
      if (options && !this.#settings.keys) {
        throw failure("NotSupportedError", "no keys");
      }
      this.#take(toData(data), { ...options, resolve, reject } as Receipt);
    });
  }

  /** Closes the session, after all that was sent. */
  close(code: number | undefined = undefined, reason = ""): void {
    const open = this.#readyState < CLOSING;
    const given = closeCode(code, (reason = `${reason}`));
    if (open) {
      this.#readyState = CLOSING;
      this.#driver.close(given, reason);
    }
  }

  /** Minifiers, ours or the page's, shorten the name of the class, and logs show it. */
  static override get name(): string {
    return "ResilientWebSocket";
  }

  /** For `using`. Where the platform does not know the symbol yet, compilers make it by this name. */
  [Symbol.dispose ?? Symbol.for("Symbol.dispose")](): void {
    this.close();
  }

  #take(message: Data | Blob, receipt?: Receipt, restore?: Restore): void {
    const { plain, maxMessage, out } = this.#driver.core;
    const { outboxMessages, outboxBytes } = this.#settings;
    const size = sizeOf(message);
    const isFull = out.unacked >= outboxMessages || out.unackedBytes + size > outboxBytes;
    if (!plain && (isFull || size > maxMessage)) {
      throw failure("QuotaExceededError", isFull ? "outbox full" : `above ${maxMessage} bytes`);
    }
    this.#driver.send(message, size, receipt, restore);
  }

  /** Dispatches what became of the session. */
  #dispatch(output: Event | AppMessage): void {
    if (!(output instanceof Event)) {
      if (this.#readyState === OPEN) {
        this.#origin ||= new URL(this.url).origin;
        this.dispatchEvent(
          new MessageEvent("message", { data: this.#data(output.data), origin: this.#origin }),
        );
      }
      return;
    }
    if (output.type === "statechange") {
      this.#state = (output as StateChangeEvent).state;
      this.#readyState = Math.max(this.#readyState, READY_STATES.indexOf(this.#state));
    } else {
      this.#adopt(output);
    }
    this.dispatchEvent(output);
  }

  /** Has the page restore the app's context if this event says so, unless that was cut short already. */
  #adopt(event: Event): void {
    const { restoring: restore } = this.#driver.core;
    if (restore?.told !== event || restore.peer?.endCode) {
      return;
    }
    // Where it is no function, what listeners of the event send at once belongs to the restore, and ends it.
    const adopt = this.#settings.adopt as AdoptFunction;
    restore.takesAll = adopt.length !== 2;
    const send = (data: Sendable) =>
      restore.allSaid ? this.send(data) : this.#take(toData(data), undefined, restore);
    (async () => {
      if (this.#driver.core.refusals > 1) {
        throw failure("DataError", "rejected");
      }
      await adopt.call?.(null, event as AdoptedEvent, send);
      if (this.#settings.adopt === "reopen" && !restore.allSaid) {
        this.dispatchEvent(new Event("open"));
      }
    })().then(
      () => this.#driver.restored(restore, false),
      (error) => {
        this.#settings.logger.warn(error);
        this.#driver.restored(restore, true);
      },
    );
  }

  #data(data: Data): string | Blob | ArrayBuffer {
    if (typeof data === "string") {
      return data;
    }
    return this.#binaryType === "blob" ? new Blob([data]) : data.buffer;
  }
}
