import { close } from "./closing.ts";
import type { Connection } from "./connection.ts";
import { NEVER } from "./inbox.ts";
import { dispatched, receive } from "./incoming.ts";
import type { Keep, Keeper } from "./keeper.ts";
import { type AppMessage, answeredBare, end, Machine, type Restore } from "./machine.ts";
import { isHidden, isOffline, reachable, watch } from "./network.ts";
import { isOwn, offer as subprotocols } from "./offer.ts";
import type { Fresh, Settings, Transport } from "./options.ts";
import type { Entry, Receipt } from "./outbox.ts";
import { nextMessage } from "./outgoing.ts";
import { attach, attachPlain, beginDial, broken, offer, thaw, wake, wantDial } from "./redial.ts";
import type { Data } from "./store.ts";
import { tick } from "./timing.ts";
import { CODE, encodeClose, SUBPROTOCOL } from "./wire.ts";

/**
 * How long a message may wait for others to be acknowledged with, in ms: below WSR_PERSIST_AFTER (50 ms) by
 * more than most round trips take. A hidden page does not wait, since its timers come once a second.
 */
const ACK_DELAY = 20;

/** If the wall clock gets ahead of ours by so many ms, the computer has slept. */
const SLEEP_STEP = 2000;

/** How long to wait for another dial while the browser says that it is offline, in ms. */
const OFFLINE_WAIT = 10_000;

/** After failed dials the server is probed before the next one, but for each fourth. */
const DIAL_EVERY = 4;

/** What setTimeout can take. */
const MAX_TIMER = 2 ** 31 - 1;

/**
 * Browsers do not say why a handshake fails: a server without a sidecar may refuse our subprotocols, or the network
 * may have failed. So the steps of a first connection are two handshakes with them, one without, whose connection is
 * not used, since whatever failed may be over; one more with them, and only then one without that is. Each fourth
 * attempt to resume that fails in a row takes the first three steps too: if only the handshake without them succeeds,
 * that is an answer of a server without a sidecar, and the next attempt does the same.
 */
const LOOK = 2;

/** A monotonic clock, in ms since the epoch. */
const clock = () => performance.timeOrigin + performance.now();

/** What a ResilientWebSocket stands on: a driver, or a tab that shares another's. */
export interface Driven
  extends Pick<Driver, "serverUrl" | "agreed" | "unsent" | "send" | "close" | "restored"> {
  readonly core: Pick<
    Machine,
    "appProtocol" | "opened" | "plain" | "session" | "maxMessage" | "restoring" | "refusals"
  > & { readonly out: Pick<Machine["out"], "unackedBytes" | "unacked"> };
}

export type Act = (output: Event | AppMessage) => void;

/** Makes a driver for the URL and the subprotocols of a page's socket. */
export type MakeDriver = (settings: Settings, act: Act) => Driver;

/** Starts to share a connection with other tabs; undefined: that cannot be done here. */
export type StartShare = (make: MakeDriver, settings: Settings, act: Act) => Driven | undefined;

/**
 * Drives a machine: all of its sockets, timers and events are here. Outputs go to `dispatch`, never from within
 * the page's own calls.
 */
export class Driver {
  readonly core: Machine;
  /** The URL that was dialled, serialised; "" until it is known. */
  serverUrl = "";
  /** The extensions. */
  agreed = "";

  private readonly urlSource: Fresh<string | URL | null>;
  private readonly protocolSource: Fresh<string | string[]>;
  private readonly settings: Settings;
  private readonly tell: Act;
  private readonly connections = new Set<Connection>();
  private readonly unwatch: () => void;
  private readonly keeper: Keeper | undefined;
  private wakeTimer: ReturnType<typeof setTimeout> | undefined;
  private wakeAt = NEVER;
  private clockOffset = Date.now() - clock();
  private failures = 0;
  /** When the last dial began. */
  private dialledAt = 0;
  private isTelling = false;
  /** The page has offered subprotocols. */
  private hasProtocols = false;

  /** Throws what the transport's constructor throws, if `url` and `protocols` are values. */
  constructor(
    url: Fresh<string | URL | null>,
    protocols: Fresh<string | string[]>,
    settings: Settings,
    act: Act,
  ) {
    this.core = new Machine(settings, Math.random);
    this.urlSource = isValue(url) ? `${url}` : url;
    this.protocolSource = isValue(protocols) ? list(protocols) : protocols;
    this.settings = settings;
    this.tell = act;
    this.keeper = (settings.persist as Keep | undefined)?.(this.core, (change) => this.applyChange(change));
    this.performPending();
    this.unwatch = watch(
      () => this.applyChange(wake),
      () => this.applyChange(thaw),
      () => this.pageGone(),
    );
  }

  /** Bytes that were not yet given to the network. */
  get unsent(): number {
    const { out, current: connection, plain } = this.core;
    // The transport also holds control messages, which do not count.
    const sent = plain ? NEVER : out.unackedBytes - out.queued;
    return out.queued + Math.min(connection?.socket?.bufferedAmount ?? 0, sent);
  }

  /** Sends a message, as a part of `restore` if one is given or all that is sent belongs to one. */
  send(data: Data | Blob, size: number, receipt?: Receipt, restore?: Restore): void {
    const { out, restoring: begun } = this.core;
    const early = begun?.takesAll;
    const part = restore ?? (early ? begun : null);
    const entries: Partial<Entry>[] = restore?.peer
      ? [{ data, receipt }]
      : out.push(data, size, receipt, early, part === begun && !part?.peer);
    const entry = entries[0] as Entry;
    part?.toSend.push(entry);
    const ready = (bytes: Data) => {
      entry.data = bytes;
      for (const { pos, data } of entries) {
        if (pos !== undefined) {
          this.keeper?.put(pos, data as Data);
        }
      }
      this.performPending();
    };
    if (!(data instanceof Blob)) {
      ready(data);
    } else {
      data.arrayBuffer().then(
        (buffer) => ready(new Uint8Array(buffer)),
        () => this.close(CODE.internal, "Blob unreadable"),
      );
    }
  }

  close(code: number, reason: string): void {
    close(this.core, clock(), code, reason);
    this.performPending();
  }

  /** The page has restored the app's context, or cannot. A restore that was cut short begins anew by itself. */
  restored(restore: Restore, failed: boolean): void {
    const machine = this.core;
    restore.takesAll = false;
    restore.allSaid = true;
    if (restore === machine.restoring) {
      if (failed && !restore.peer?.endCode) {
        this.endNow(CODE.restart, "adopt failed"); // what waits is not for an app that does not know whose it is
      } else if (!restore.peer) {
        machine.restoring = machine.out.last = null;
      }
    }
    this.performPending();
  }

  /** Ends the session at once, and tells the sidecar. */
  private endNow(code: number, reason: string): void {
    const machine = this.core;
    machine.current?.socket?.send(encodeClose(code === CODE.abnormal ? CODE.normal : code, reason));
    end(machine, code, reason);
  }

  // What is pending.

  /** Changes the machine, dispatches its outputs, and performs what is pending. */
  private applyChange(change?: (machine: Machine, now: number) => void, late = 0): void {
    change?.(this.core, clock());
    if (this.isTelling) {
      return; // called by a listener of the page: the loop below goes on
    }
    this.isTelling = true;
    try {
      for (let o: Event | AppMessage | undefined; (o = this.core.forPage.shift()); ) {
        if (!(o instanceof Event)) {
          this.tell(o);
          dispatched(this.core, clock(), o.seq, o.data.length, isHidden() ? 0 : ACK_DELAY);
        } else if (o.type !== "open" || !this.noProtocolChosen()) {
          if (o.type === "reset") {
            this.keeper?.clear(); // before the page's listener, which may send what is for the next session
          }
          this.tell(o);
        }
      }
    } finally {
      this.isTelling = false;
      this.performPending(late);
    }
  }

  /** The handshake has failed if the app chose none of the subprotocols that it was offered (WHATWG). */
  private noProtocolChosen(): boolean {
    const { plain, appProtocol } = this.core;
    const fails = this.hasProtocols && !plain && !appProtocol;
    if (fails) {
      this.endNow(CODE.abnormal, "");
    }
    return fails;
  }

  /** Performs what is pending, except outputs, which are dispatched in a task of our own. */
  private performPending(late = 0): void {
    const machine = this.core;
    if (this.isTelling) {
      return;
    }
    const drift = Date.now() - clock();
    if (drift - this.clockOffset > SLEEP_STEP) {
      wake(machine, clock());
    }
    this.clockOffset = drift;
    if (wantDial(machine, clock())) {
      this.dialNext();
    }
    let at = tick(machine, clock(), late);
    if (wantDial(machine, clock())) {
      at = 0;
    }
    if (machine.saveDue) {
      this.keeper?.save(clock());
    }
    for (const connection of this.connections) {
      this.serve(connection);
    }
    if (machine.stage === "closed") {
      this.unwatch?.();
      this.keeper?.close();
    }
    this.armTimer(machine.forPage.length ? 0 : at);
  }

  private armTimer(at: number): void {
    if (at !== this.wakeAt) {
      clearTimeout(this.wakeTimer);
      this.wakeAt = at;
      if (at < NEVER) {
        this.wakeTimer = setTimeout(() => this.timerFired(), Math.min(at - clock(), MAX_TIMER));
      }
    }
  }

  private timerFired(): void {
    const late = this.wakeAt && clock() - this.wakeAt;
    this.wakeAt = NEVER;
    this.applyChange(undefined, late);
  }

  /** As with any WebSocket, the app is told that the page went away, unless the session is saved for the next one. */
  private pageGone(): void {
    if (!this.core.durable && !this.core.plain) {
      this.close(CODE.goingAway, "");
    }
  }

  // Connections.

  private dialNext(): void {
    const machine = this.core;
    const url = this.urlSource;
    const protocols = this.protocolSource;
    // What the browser says may be wrong, with a VPN for instance, so it is tried all the same, slowly.
    const later = Math.max(machine.lostAt, this.dialledAt) + OFFLINE_WAIT;
    if (clock() < later && !machine.ending && isOffline(this.serverUrl)) {
      machine.dialAt = later;
      return;
    }
    const connection = beginDial(machine, (this.dialledAt = clock()));
    this.connections.add(connection);
    // Only in the constructor can values throw that are not valid, and it does not wait for a disk.
    if (!this.serverUrl && !this.settings.persist && isValue(url) && isValue(protocols)) {
      this.connectTo(connection, url, protocols);
    } else {
      this.askThenConnect(connection);
    }
  }

  private async askThenConnect(connection: Connection): Promise<void> {
    try {
      const [url, protocols] = await Promise.all([fresh(this.urlSource), fresh(this.protocolSource)]);
      if (this.failures % DIAL_EVERY) {
        await reachable(this.serverUrl);
      }
      if (url === null) {
        this.endNow(CODE.abnormal, "stopped");
        this.performPending();
      } else if (!connection.endCode) {
        this.connectTo(connection, url, protocols);
      }
    } catch (error) {
      this.settings.logger.warn(error); // of a function of the page's, perhaps
      connection.failure = `${error}`;
      this.dialFailed(connection);
    }
  }

  private connectTo(connection: Connection, url: string | URL, app: string | string[]): void {
    const settings = this.settings;
    const protocols = list(app);
    this.hasProtocols = !!protocols.length;
    offer(this.core, connection);
    const resilient = connection.bareStep % LOOK || !connection.bareStep;
    const offered = resilient ? subprotocols(protocols, settings.adopt, connection.offered) : protocols;
    const socket = new settings.webSocket!(`${url}`, offered);
    connection.socket = socket;
    this.serverUrl = socket.url;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.applyChange(() => this.handshaken(connection, socket));
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) =>
      this.applyChange((m, now) =>
        receive(m, now, connection, typeof data === "string" ? data : new Uint8Array(data)),
      );
    socket.onerror = () => {}; // `close` follows
    socket.onclose = ({ code, reason, wasClean }: CloseEvent) => {
      if (connection.opened) {
        this.applyChange((m, now) => broken(m, now, connection, code, reason, wasClean));
      } else if (!resilient || (connection.offered && (this.failures + 1) % DIAL_EVERY)) {
        this.dialFailed(connection);
      } else {
        // PROTOCOL §2.3: browsers fail a connection if the server chose no subprotocol, as most servers do.
        // Functions are asked anew: what they told may be good for one handshake.
        connection.bareStep++;
        this.askThenConnect(connection);
      }
    };
  }

  private handshaken(connection: Connection, socket: Transport): void {
    const { protocol, extensions } = socket;
    const machine = this.core;
    this.agreed ||= extensions;
    if (protocol === SUBPROTOCOL) {
      this.failures = 0;
      attach(machine, clock(), connection);
    } else if (connection.offered) {
      // Another server, perhaps during a roll-out. The next may be a sidecar.
      answeredBare(machine, clock(), connection, CODE.normal);
    } else if (connection.bareStep === LOOK) {
      connection.bareStep++;
      letGo(socket, CODE.normal);
      this.askThenConnect(connection);
    } else {
      this.settings.logger.info("wsresilience: no sidecar");
      attachPlain(machine, clock(), connection, isOwn(protocol) ? "" : protocol);
    }
  }

  private dialFailed(connection: Connection): void {
    this.failures++;
    this.applyChange((m, now) => broken(m, now, connection, CODE.abnormal, "", false));
  }

  private serve(connection: Connection): void {
    const { socket } = connection;
    const { plain, ending } = this.core;
    if (connection.endCode) {
      // Browsers may need minutes to notice that a socket is dead, so its end is not waited for.
      this.connections.delete(connection);
      if (socket) {
        letGo(socket, connection.endCode);
      }
    } else if (connection.opened && socket?.readyState === 1) {
      // Once it is closing, `onclose` follows.
      for (let data: Data | null; (data = nextMessage(this.core, clock(), connection)) !== null; ) {
        socket.send(data);
      }
      if (plain && ending && connection.closeSent) {
        closeSocket(socket, ending.endCode, ending.endReason);
      }
    }
  }
}

function letGo(socket: Transport, code: number): void {
  socket.onopen = socket.onmessage = socket.onclose = null;
  closeSocket(socket, code, "");
}

/** Closes a socket, with the code if pages may use it. */
function closeSocket(socket: Transport, code: number, reason: string): void {
  if (code === CODE.normal || code >= 3000) {
    socket.close(code, reason);
  } else {
    socket.close();
  }
}

function isValue<T>(source: Fresh<T>): source is T & (string | object) {
  return typeof source !== "function" && !(source instanceof Promise);
}

/** A copy of the page's subprotocols, which it may change. */
function list(protocols: string | string[]): string[] {
  return protocols === Object(protocols) ? [...protocols] : [`${protocols}`];
}

async function fresh<T>(source: Fresh<T>): Promise<T> {
  return typeof source === "function" ? (source as () => T | Promise<T>)() : source;
}
