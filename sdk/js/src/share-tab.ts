import type { Act, Driven, MakeDriver } from "./driver.ts";
import { makeEvent, type RejectedEvent, type ResetEvent, type State } from "./events.ts";
import type { AppMessage, Restore } from "./machine.ts";
import type { Settings } from "./options.ts";
import type { Receipt } from "./outbox.ts";
import { Member } from "./share-member.ts";
import type { Change, Facts, Whose } from "./share-messages.ts";
import { OwnMessages } from "./share-own.ts";
import type { Data } from "./store.ts";
import { CODE } from "./wire.ts";

/** How long a close may take, in ms, as with any session (PROTOCOL §7). */
const MAX_CLOSE_WAIT = 5000;

/** One tab of those that share a connection. It is the leader, or hears from it. */
export class Tab extends Member implements Driven {
  serverUrl = "";
  agreed = "";
  readonly core: Driven["core"];
  private readonly act: Act;
  private readonly own = new OwnMessages(this.id);
  /** What the page knows. */
  private state: State = "connecting";
  /** The session is being closed: this is its last tab. */
  private ending = false;
  private closing: { code: number; reason: string } | null = null;

  constructor(name: string, make: MakeDriver, settings: Settings, act: Act) {
    super(name, make, settings);
    this.act = act;
    this.core = this.view();
    this.join();
  }

  protected get isClosing(): boolean {
    return !!this.closing;
  }

  protected tell(output: Event | AppMessage): void {
    this.act(output);
  }

  // As the driver of the page's socket.

  get unsent(): number {
    return this.copy.facts.isPlain ? 0 : this.own.untaken;
  }

  send(data: Data | Blob, size: number, receipt?: Receipt, restore?: Restore): void {
    const { leader } = this;
    if (leader && restore?.peer) {
      leader.driver!.send(data, size, receipt, restore); // is no message of the outbox
      return;
    }
    const message = this.own.append(data, size, receipt);
    if (data instanceof Blob) {
      data.arrayBuffer().then(
        (buffer) => {
          message.data = new Uint8Array(buffer);
          this.give();
        },
        () => this.close(CODE.internal, "Blob unreadable"),
      );
    } else {
      this.give(restore);
    }
  }

  close(code: number, reason: string): void {
    this.closing ??= { code, reason };
    this.later(() => this.toState("closing"));
    if (!this.core.opened) {
      this.later(() => this.finish(CODE.abnormal, "", false));
      return;
    }
    const timer = setTimeout(() => this.ending || this.finish(CODE.abnormal, "", false), MAX_CLOSE_WAIT);
    this.onOver(() => clearTimeout(timer));
    this.later(() => this.leave());
  }

  restored(restore: Restore, failed: boolean): void {
    this.leader?.driver?.restored(restore, failed);
    this.leader?.listenAgain();
  }

  // As the tab of a leader.

  changed(change: Change): void {
    this.own.changed(change, this.copy.saved?.acked);
    this.leave();
  }

  output(output: Event | AppMessage, facts: Facts, whose?: Whose): void {
    if (output instanceof Event) {
      this.event(output, facts, whose);
      this.leave(); // it may have waited for the connection
    } else {
      this.hear({ at: output.seq, data: output.data });
    }
  }

  /** What the page's socket looks at. */
  private view(): Driven["core"] {
    const { copy, own } = this;
    const leader = () => this.leader;
    return {
      get appProtocol() {
        return copy.facts.protocol;
      },
      get plain() {
        return copy.facts.isPlain;
      },
      get session() {
        return copy.facts.sessionName;
      },
      get maxMessage() {
        return copy.facts.largest;
      },
      get restoring() {
        return leader()?.restoring ?? null;
      },
      get refusals() {
        return leader()?.refusals ?? 0;
      },
      opened: false,
      out: {
        get unackedBytes() {
          return copy.facts.isPlain ? 0 : own.bytes;
        },
        get unacked() {
          return own.count;
        },
      },
    };
  }

  // Among the others.

  /** Compares this tab's messages with the leader's copy, and gives the leader what it lacks. */
  protected synchronise(): void {
    const { copy } = this;
    this.own.compare(copy);
    this.event(null, copy.facts);
    this.give();
    this.leave();
  }

  /** Gives the leader what it has not got. */
  private give(restore?: Restore): void {
    const { leader, id, copy } = this;
    if (!this.joined) {
      return;
    }
    const { generation } = copy;
    for (const { number, behind, data, size: _, receipt } of this.own.toGive()) {
      if (leader) {
        leader.take(id, number, data, !!receipt, restore);
      } else {
        this.post({ kind: "send", from: id, generation, number, behind, data, wantsAck: !!receipt });
      }
    }
  }

  // What the page is told.

  /** Handles an event, if there is one, after what else is new. */
  protected event(event: Event | null, facts: Facts, whose?: Whose): void {
    const type = event?.type;
    this.serverUrl = facts.url;
    this.agreed = facts.extensions;
    if (facts.isOpen && !this.core.opened && facts.state !== "closed") {
      this.toState("connected");
      (this.core as { opened: boolean }).opened = true;
      this.tell(makeEvent("open"));
    }
    if (!this.closing || facts.state === "closed") {
      this.toState(facts.state);
    }
    if (type === "reset") {
      const { reason, status } = event as ResetEvent;
      this.lose(reason, status);
    } else if (whose) {
      if (whose.tab === this.id) {
        this.own.reject(whose.number, (event as RejectedEvent).code);
        this.tell(event!);
      }
    } else if (event && type !== "open" && type !== "statechange") {
      this.tell(event);
    }
    if (type === "close") {
      this.end();
    }
  }

  /** Tells the page that the session is lost, with what this tab had sent. */
  protected lose(reason: string, status: number): void {
    this.log.clear();
    this.tell(makeEvent("reset", { reason, status, unacknowledged: this.own.fail(reason) }));
  }

  private toState(state: State): void {
    const previous = this.state;
    if (state !== previous && previous !== "closed" && (state === "closed" || previous !== "closing")) {
      this.state = state;
      this.tell(makeEvent("statechange", { state, previous }));
    }
  }

  // The end.

  /** Leaves the others, once the page has closed and all that it sent is acknowledged. */
  private leave(): void {
    const { closing, leader } = this;
    if (!closing || this.over.signal.aborted) {
      return;
    }
    const { code, reason } = closing;
    if (leader?.alone) {
      if (!this.ending && leader.isOpen) {
        this.ending = true;
        leader.driver!.close(code, reason); // the session ends with its last tab
      }
    } else if (!this.own.count) {
      this.finish(code, reason, true);
    }
  }

  /** Ends this tab's part. */
  protected finish(code: number, reason: string, wasClean: boolean): void {
    if (this.over.signal.aborted) {
      return;
    }
    this.end();
    this.toState("closed");
    if (!wasClean) {
      this.tell(makeEvent("error"));
    }
    this.tell(makeEvent("close", { code, reason, wasClean }));
  }

  private end(): void {
    this.own.fail("closed");
    this.part();
    this.over.abort();
  }

  private onOver(act: () => void): void {
    this.over.signal.addEventListener("abort", act);
  }

  /** Does something in a task of its own, as the standard wants of events. */
  private later(act: () => void): void {
    setTimeout(act);
  }
}
