import type { Connection } from "../../src/connection.ts";
import type { AdoptedEvent, RejectedEvent, ResetEvent, StateChangeEvent } from "../../src/events.ts";
import { NEVER } from "../../src/inbox.ts";
import { dispatched } from "../../src/incoming.ts";
import { type AppMessage, Machine } from "../../src/machine.ts";
import { offer as subprotocols } from "../../src/offer.ts";
import type { Receipt } from "../../src/outbox.ts";
import { nextMessage } from "../../src/outgoing.ts";
import { beginDial, offer, wantDial } from "../../src/redial.ts";
import type { Data } from "../../src/store.ts";
import { tick } from "../../src/timing.ts";
import { byteLength } from "../../src/utf8.ts";
import { CODE } from "../../src/wire.ts";
import { data, words } from "./words.ts";

/** As a page that is seen has it; both clients do. */
const ACK_DELAY = 20;

/** A dialled from the dial on. */
export interface Dialled {
  readonly name: string;
  readonly connection: Connection;
  /** Its close frame was sent. */
  closes: boolean;
}

/** A driver without sockets for the machine, and a page. It notes what they do. */
export class Stage {
  now = 1_700_000_000_000;
  /** Those that are not over. */
  connections: Dialled[] = [];
  protocols: string[] = [];
  adopt = false;

  /** With 0.5, backoff and the moment of a move are in the middle of what they may be. */
  readonly machine = new Machine(
    {
      ...{ reconnectDelay: 100, logger: console, connectTimeout: 10_000 },
      ...{
        outboxMessages: 1 << 16,
        outboxBytes: 1 << 24,
        retryInitialConnect: false,
        newSessionAfterReset: false,
      },
    },
    () => 0.5,
  );

  private log: string[] = [];
  /** Lines so far. */
  private said = 0;
  /** When the machine wants to be called again. */
  private due = NEVER;
  private began = this.now;
  private dials = 0;
  private lost = false;

  /** Plays one command and returns what the client did. */
  play(command: () => void): string[] {
    this.log = [];
    this.began = this.now;
    command();
    return this.log;
  }

  /** Does what the machine wants, until it wants nothing more now. */
  perform(late = 0): void {
    let before = -1;
    for (let turn = 0; before !== this.said || this.due <= this.now; turn++) {
      if (turn === 1000) {
        throw new Error("a deadline stays due");
      }
      before = this.said;
      this.dispatch();
      this.due = tick(this.machine, this.now, turn === 0 ? late : 0);
      this.dispatch();
      for (const dialled of [...this.connections]) {
        this.service(dialled);
      }
      if (wantDial(this.machine, this.now)) {
        this.dial();
      }
    }
  }

  /** Lets time pass from deadline to deadline. */
  wait(millis: number): void {
    const end = this.now + millis;
    while (this.due <= end) {
      this.now = this.due;
      this.perform();
    }
    this.now = end;
  }

  /** Lets time pass while the page stands still. */
  stall(millis: number): void {
    this.began = this.now += millis;
    this.perform(Math.max(0, this.now - this.due));
  }

  /** Sends a message; `receipt`: somebody waits until it is acknowledged. */
  send(message: Data, receipt?: Receipt): void {
    this.machine.out.push(
      message,
      typeof message === "string" ? byteLength(message) : message.length,
      receipt,
    );
  }

  /** Lets go of a dialled that is over for the machine. */
  end(dialled: Dialled): void {
    const { name, connection } = dialled;
    this.note(connection.opened ? `${name} ends ${connection.endCode}` : `${name} is given up`);
    this.forget(dialled);
  }

  forget(dialled: Dialled): void {
    this.connections = this.connections.filter((other) => other !== dialled);
  }

  /** Dispatches outputs. */
  dispatch(): void {
    for (let output: Event | AppMessage | undefined; (output = this.machine.forPage.shift()); ) {
      if ("seq" in output) {
        this.note(`program <- ${data(output.data)}`);
        dispatched(this.machine, this.now, output.seq, output.data.length, ACK_DELAY);
      } else {
        this.noteEvent(output);
      }
    }
  }

  private noteEvent(event: Event): void {
    const { machine } = this;
    switch (event.type) {
      case "connectfailed":
        break; // the Go client tells of that in another way: ends.test.ts
      case "statechange": {
        const { state, previous } = event as StateChangeEvent;
        if (state !== "closed" && previous !== "connecting") {
          this.note(`state: ${state}`);
        }
        break;
      }
      case "adopted":
        this.note(`adopted: ${(event as AdoptedEvent).reason}`);
        if (machine.restoring?.told === event) {
          machine.restoring.allSaid = true; // the program restores nothing
        }
        break;
      case "reset": {
        const { reason, status, unacknowledged } = event as ResetEvent;
        this.lost = true;
        this.note(
          `session ends: lost, ${reason}${status ? ` ${status}` : ""}, ${unacknowledged.length} unacknowledged`,
        );
        break;
      }
      case "rejected": {
        const { code, data: message } = event as RejectedEvent;
        this.note(`rejected ${code}: ${data(message)}`);
        break;
      }
      case "open":
        this.note(`open${machine.plain ? " without a sidecar" : ""} "${machine.appProtocol}"`);
        break;
      case "close":
        this.ended(event as CloseEvent);
        break;
      case "error":
        break; // of those that precede a close
      default:
        this.note(event.type);
    }
  }

  private ended({ code, reason, wasClean }: CloseEvent): void {
    if (!this.lost) {
      this.note(`session ends: ${code} ${wasClean ? reason : ""}`.trim());
    } else if (code !== CODE.reset && code !== CODE.superseded) {
      throw new Error(`a lost session ends with ${code}`);
    }
  }

  private service(dialled: Dialled): void {
    const { name, connection } = dialled;
    const { machine } = this;
    if (connection.endCode) {
      this.end(dialled);
      return;
    }
    if (!connection.opened) {
      return;
    }
    for (let message: Data | null; (message = nextMessage(machine, this.now, connection)) !== null; ) {
      this.note(`${name} <- ${machine.plain ? data(message) : words(message)}`);
    }
    if (machine.plain && machine.ending && connection.closeSent && !dialled.closes) {
      dialled.closes = true;
      this.note(`${name} closes ${machine.ending.endCode} ${machine.ending.endReason}`);
    }
  }

  private dial(): void {
    const connection = beginDial(this.machine, this.now);
    offer(this.machine, connection);
    const name = `c${++this.dials}`;
    this.connections.push({ name, connection, closes: false });
    this.note(`${name} dials ${subprotocols(this.protocols, this.adopt, connection.offered).join(" ")}`);
  }

  /** Notes what happens. A line that repeats itself is counted. */
  private note(what: string): void {
    this.said++;
    const after = Math.floor(this.now - this.began);
    const line = after > 0 ? `+${after}ms ${what}` : what;
    const [, times = "1", last] = this.log.at(-1)?.match(/^(?:(\d+) x )?(.*)$/) ?? [];
    if (last === line) {
      this.log[this.log.length - 1] = `${Number(times) + 1} x ${line}`;
    } else {
      this.log.push(line);
    }
  }
}
