import { close } from "./closing.ts";
import { NEVER } from "./inbox.ts";
import { dispatched, receive } from "./incoming.ts";
import { restore, snapshot, stored } from "./keeping.ts";
import type { Leg } from "./leg.ts";
import { type AppMessage, drop, end, Machine, tell } from "./machine.ts";
import { answers, isHidden, isOffline, watch } from "./network.ts";
import { isOwn, offer as subprotocols } from "./offer.ts";
import type { Fresh, Settings, Transport, WebSocketConstructor } from "./options.ts";
import type { Receipt } from "./outbox.ts";
import { nextMessage } from "./outgoing.ts";
import { attach, attachBare, begin, broken, offer, thaw, wake, wantsDial } from "./redial.ts";
import type { Data, Store } from "./store.ts";
import { tick } from "./timing.ts";
import { byteLength } from "./utf8.ts";
import { CODE, encodeClose, SUBPROTOCOL } from "./wire.ts";

/**
 * How long a message may wait for others to be acknowledged with, in ms: below WSR_PERSIST_AFTER (50 ms) by
 * more than most round trips take. A hidden page does not wait, since its timers come once a second.
 */
const ACK_DELAY = 20;

/** A step of the wall clock beyond ours, in ms, from which on the machine has slept. */
const SLEPT = 2000;

/** How often to look whether the browser is online again, in ms, where it does not say so. */
const OFFLINE_LOOK = 1000;

/** After so many refusals in a row the server is asked before it is dialled, but for each fourth time. */
const REFUSALS = 2;
const DIAL_ANYWAY = 4;

/** What setTimeout can take. */
const MAX_TIMER = 2 ** 31 - 1;

/** Servers without a sidecar that refuse our subprotocols, by origin and path: asking twice costs a round trip. */
const bareServers = new Set<string>();

/** Where the connections go, as the page gave it. */
export interface Target {
  readonly url: Fresh<string | URL>;
  readonly protocols: Fresh<string | string[]>;
}

/** A clock that goes on evenly, in ms since the epoch. */
const clock = () => performance.timeOrigin + performance.now();

/**
 * Drives a machine: all of its sockets, timers and events are here. What is to be told to the page goes to
 * `act`, and never from within the page's own calls.
 */
export class Driver {
  readonly machine: Machine;
  /** Where the connections go, serialised; "" until that is known. */
  url = "";
  extensions = "";

  private readonly target: Target;
  private readonly settings: Settings;
  private readonly act: (output: Event | AppMessage) => void;
  private readonly legs = new Set<Leg>();
  private readonly unwatch: () => void;
  private store: Store | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private due = NEVER;
  private drift = Date.now() - clock();
  private refusals = 0;
  /** The server has been seen to speak `wsr.v1`. */
  private known = false;
  private settling = false;
  /** The page has offered subprotocols. */
  private asked = false;

  /** Throws what the transport's constructor does, if `target` consists of values. */
  constructor(target: Target, settings: Settings, act: (output: Event | AppMessage) => void) {
    this.machine = new Machine(settings, Math.random);
    this.target = target;
    this.settings = settings;
    this.act = act;
    if (settings.persist) {
      void this.find(settings.persist);
    } else {
      this.flush();
    }
    this.unwatch = watch(
      () => this.settle(wake),
      () => this.settle(thaw),
      () => this.leave(),
    );
  }

  /** Bytes that no transport has taken for good. */
  get buffered(): number {
    const { out, leg, bare } = this.machine;
    // Control messages wait there too, and are not the page's.
    const sent = bare ? NEVER : out.bytes - out.queued;
    return out.queued + Math.min(leg?.socket?.bufferedAmount ?? 0, sent);
  }

  send(data: Data | Blob, size: number, receipt?: Receipt): void {
    const { out } = this.machine;
    const entry = out.push(data, size, receipt);
    const ready = (bytes: Data) => {
      entry.data = bytes;
      if (!this.machine.bare) {
        this.store?.put({ position: entry.position, data: bytes });
      }
      this.flush();
    };
    if (!(data instanceof Blob)) {
      ready(data);
    } else {
      data.arrayBuffer().then(
        (buffer) => ready(new Uint8Array(buffer)),
        () => this.close(CODE.internal, "Blob not readable"),
      );
    }
  }

  close(code: number, reason: string): void {
    close(this.machine, clock(), code, reason);
    this.flush();
  }

  // The state on disk.

  private async find({ name, open }: NonNullable<Settings["persist"]>): Promise<void> {
    try {
      const claim = open ?? (await import("./persist.ts")).open;
      if (this.machine.state === "closed") {
        return; // a page that has changed its mind leaves what a former one kept
      }
      const store = await claim(name);
      this.store = store;
      this.machine.durable = true;
      if (store.restored) {
        restore(this.machine, clock(), Date.now(), store.restored, sizeOf);
      }
    } catch {
      this.forget();
    }
    this.settle();
  }

  private save(): void {
    const saved = snapshot(this.machine, clock(), Date.now());
    this.store?.save(saved).then(
      () => this.settle((m) => stored(m, saved)),
      () => this.settle(() => this.forget()),
    );
  }

  /** The disk fails: the session goes on without it, and the page hears `error`. */
  private forget(): void {
    this.store = null;
    this.machine.durable = this.machine.held = false;
    tell(this.machine, "error");
  }

  // What is due.

  /** Takes what happened, tells the page, and goes on. */
  private settle(change?: (machine: Machine, now: number) => void, late = 0): void {
    change?.(this.machine, clock());
    if (this.settling) {
      return; // the page has called us, and the loop below goes on
    }
    this.settling = true;
    try {
      for (let o: Event | AppMessage | undefined; (o = this.machine.outputs.shift()); ) {
        if (!(o instanceof Event)) {
          this.act(o);
          dispatched(this.machine, clock(), o.seq, o.data.length, isHidden() ? 0 : ACK_DELAY);
        } else if (o.type !== "open" || !this.unchosen()) {
          if (o.type === "reset") {
            this.store?.clear(); // before the page, which may send what is for the next session
          }
          this.act(o);
        }
      }
    } finally {
      this.settling = false;
      this.flush(late);
    }
  }

  /** An app that chooses none of the subprotocols it was offered has failed the handshake (WHATWG). */
  private unchosen(): boolean {
    const { bare, leg, protocol } = this.machine;
    const fails = this.asked && !bare && !protocol;
    if (fails) {
      leg?.socket?.send(encodeClose(CODE.normal, ""));
      end(this.machine, CODE.abnormal, "");
    }
    return fails;
  }

  /** Does what is due, but for telling the page, which waits for a task of our own. */
  private flush(late = 0): void {
    const { machine } = this;
    if (this.settling) {
      return;
    }
    const drift = Date.now() - clock();
    if (drift - this.drift > SLEPT) {
      wake(machine, clock());
    }
    this.drift = drift;
    if (wantsDial(machine, clock())) {
      this.dial();
    }
    let at = tick(machine, clock(), late);
    if (wantsDial(machine, clock())) {
      at = isOffline(this.url) ? clock() + OFFLINE_LOOK : 0;
    }
    if (machine.unsaved) {
      this.save();
    }
    for (const leg of this.legs) {
      this.tend(leg);
    }
    if (machine.state === "closed") {
      this.unwatch?.();
      void this.store?.close();
      this.store = null;
    }
    this.arm(machine.outputs.length > 0 ? 0 : at);
  }

  private arm(at: number): void {
    if (at !== this.due) {
      clearTimeout(this.timer);
      this.due = at;
      if (at < NEVER) {
        this.timer = setTimeout(() => this.fire(), Math.min(Math.max(0, at - clock()), MAX_TIMER));
      }
    }
  }

  private fire(): void {
    const late = this.due && clock() - this.due;
    this.due = NEVER;
    this.settle(undefined, late);
  }

  /** As with any WebSocket, the app hears that the page went away, unless the session is kept for the next one. */
  private leave(): void {
    if (!this.store && !this.machine.bare) {
      this.close(CODE.goingAway, "");
    }
  }

  // Connections.

  private dial(): void {
    const { machine, target } = this;
    if ((machine.opened || machine.token) && isOffline(this.url)) {
      return;
    }
    const leg = begin(machine, clock());
    this.legs.add(leg);
    const ask = this.refusals >= REFUSALS && this.refusals % DIAL_ANYWAY > 0;
    // Only the constructor can tell the page what is wrong with its values, and it does not wait for a disk.
    if (!ask && !this.settings.persist && isValue(target.url) && isValue(target.protocols)) {
      this.connect(leg, target.url, target.protocols);
    } else {
      this.prepare(leg, ask).catch((e) => this.refused(leg, `${e}`));
    }
  }

  private async prepare(leg: Leg, ask: boolean): Promise<void> {
    const [url, protocols] = await Promise.all([fresh(this.target.url), fresh(this.target.protocols)]);
    if (ask) {
      await answers(this.url);
    }
    if (!leg.death) {
      this.connect(leg, url, protocols);
    }
  }

  private connect(leg: Leg, url: string | URL, app: string | string[], refusesUs = false): void {
    const { adopt, webSocket = globalThis.WebSocket as WebSocketConstructor | undefined } = this.settings;
    if (!webSocket) {
      throw new Error("wsresilience: no WebSocket here: pass option webSocket");
    }
    const place = `${url}`.replace(/\?.*/, ""); // the query may be a ticket
    const protocols = app === Object(app) ? [...app] : [`${app}`];
    this.asked = protocols.length > 0;
    offer(this.machine, leg);
    const plain = refusesUs || (!leg.resume && bareServers.has(place));
    const socket = new webSocket(`${url}`, plain ? protocols : subprotocols(protocols, !!adopt, leg.resume));
    leg.socket = socket;
    this.url = socket.url;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (plain) {
        bareServers.add(place);
      }
      this.settle(() => this.opened(leg, socket));
    };
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) =>
      this.settle((m, now) => receive(m, now, leg, typeof data === "string" ? data : new Uint8Array(data)));
    socket.onerror = () => {}; // `close` follows
    socket.onclose = ({ code, reason, wasClean }: CloseEvent) => {
      if (leg.opened) {
        this.settle((m, now) => broken(m, now, leg, code, reason, wasClean));
      } else if (plain || leg.resume || this.known) {
        this.refused(leg, reason);
      } else {
        // Browsers fail a connection whose subprotocols were all ignored, as most servers do (PROTOCOL §2.3).
        this.connect(leg, url, app, true);
      }
    };
  }

  private opened(leg: Leg, { protocol, extensions }: Transport): void {
    const { machine } = this;
    this.refusals = 0;
    this.extensions ||= extensions;
    if (protocol === SUBPROTOCOL) {
      this.known = true;
      attach(machine, clock(), leg);
    } else if (leg.resume) {
      // Some other server, during a roll-out perhaps; the next may know us.
      drop(machine, clock(), leg, CODE.normal, "no sidecar");
    } else {
      attachBare(machine, clock(), leg, isOwn(protocol) ? "" : protocol);
    }
  }

  private refused(leg: Leg, reason: string): void {
    this.refusals++;
    this.settle((m, now) => broken(m, now, leg, CODE.abnormal, reason, false));
  }

  private tend(leg: Leg): void {
    const { socket } = leg;
    const { bare, closing } = this.machine;
    if (leg.death) {
      // Browsers may need minutes to notice that a socket is dead, so nobody waits for its end.
      this.legs.delete(leg);
      if (socket) {
        socket.onopen = socket.onmessage = socket.onclose = null;
        shut(socket, leg.death.code, leg.death.reason);
      }
    } else if (leg.opened && socket?.readyState === 1) {
      // Once it is closing, its end is about to be told.
      for (let data: Data | null; (data = nextMessage(this.machine, clock(), leg)) !== null; ) {
        socket.send(data);
      }
      if (bare && closing && leg.closed) {
        shut(socket, closing.code, closing.reason);
      }
    }
  }
}

/** Closes a socket with a code that pages may use. */
function shut(socket: Transport, code: number, reason: string): void {
  if (code === CODE.normal || code >= 3000) {
    socket.close(code, reason);
  } else {
    socket.close();
  }
}

/** What a message counts. */
export function sizeOf(data: Data | Blob): number {
  if (typeof data === "string") {
    return byteLength(data);
  }
  return data instanceof Blob ? data.size : data.length;
}

function isValue<T>(source: Fresh<T>): source is T & (string | object) {
  return typeof source !== "function" && !(source instanceof Promise);
}

async function fresh<T>(source: Fresh<T>): Promise<T> {
  return typeof source === "function" ? (source as () => T | Promise<T>)() : source;
}
