import type { Driven, MakeDriver } from "./driver.ts";
import { makeEvent } from "./events.ts";
import type { AppMessage } from "./machine.ts";
import type { Settings } from "./options.ts";
import { add, less } from "./serial.ts";
import { Copy } from "./share-copy.ts";
import { Leader, type Led } from "./share-leader.ts";
import { HeardLog } from "./share-log.ts";
import {
  type Change,
  type Facts,
  type Heard,
  type Replica,
  type TabMessage,
  VERSION,
  type Whose,
} from "./share-messages.ts";
import { Seat, type Seated } from "./share-seat.ts";
import { CODE } from "./wire.ts";

/** How long a new leader waits for what the others have, in ms. Those that are frozen do not answer. */
const MAX_GATHER = 300;

/** What only a leader says. */
const FROM_LEADER: readonly TabMessage["kind"][] = [
  "gather",
  "lead",
  "welcome",
  "pong",
  "again",
  "record",
  "heard",
  "event",
];

/** One of the tabs that share a connection, as the others see it: it leads, or hears from who leads. */
export abstract class Member implements Led, Seated {
  readonly copy = new Copy();
  protected readonly id = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join(
    "-",
  );
  protected readonly log = new HeardLog();
  protected readonly over = new AbortController();
  protected leader: Leader | null = null;
  /** The copy is a leader's, and goes on being so. */
  protected joined = false;
  private channel: BroadcastChannel | undefined;
  private readonly name: string;
  private readonly seat: Seat;
  private readonly make: MakeDriver;
  private readonly settings: Settings;
  /** What the others have, by the answers to `gather`. */
  private answers: (TabMessage & { kind: "gathered" })[] = [];
  private answered: (() => void) | undefined;

  constructor(name: string, make: MakeDriver, settings: Settings) {
    this.name = `wsr:${VERSION}:${name}`;
    this.make = make;
    this.settings = settings;
    this.seat = new Seat(this.name, this.id, this, this.over.signal);
  }

  /** What the page's socket looks at. */
  abstract readonly core: Driven["core"];
  /** The page has closed its socket. */
  protected abstract readonly isClosing: boolean;
  /** Dispatches an output to the page. */
  protected abstract tell(output: Event | AppMessage): void;
  abstract changed(change: Change): void;
  abstract output(output: Event | AppMessage, facts: Facts, whose?: Whose): void;
  /** Handles an event, if there is one, after what else is new. */
  protected abstract event(event: Event | null, facts: Facts, whose?: Whose): void;
  /** Compares the page's messages with the copy, and gives the leader what it lacks. */
  protected abstract synchronise(): void;
  /** The session is lost. */
  protected abstract lose(reason: string, status: number): void;
  /** Ends this tab's part. */
  protected abstract finish(code: number, reason: string, wasClean: boolean): void;

  post(message: TabMessage): void {
    this.channel?.postMessage(message);
  }

  gone(tab: string, signal: AbortSignal): Promise<void> {
    return this.seat.gone(tab, signal);
  }

  /** Says that this tab is here, and waits for its turn to lead. */
  protected join(): void {
    if (!this.channel) {
      this.channel = new BroadcastChannel(this.name);
      this.channel.onmessage = ({ data }: MessageEvent<TabMessage>) => this.receive(data);
    }
    this.seat.join();
    this.hello();
  }

  /** Says goodbye, and hears no more: a page that would be told something falls out of the back-forward cache. */
  protected part(): void {
    this.post({ kind: "bye", from: this.id });
    this.stepDown();
    this.channel?.close();
    this.channel = undefined;
  }

  private hello(): void {
    const { generation, heardTo } = this.copy;
    this.joined = false;
    this.post({ kind: "hello", from: this.id, generation, heardTo });
  }

  /** Gives the lead up: the next in line takes it. */
  protected stepDown(): void {
    this.leader?.abandon();
    this.leader = null;
    this.seat.leave();
  }

  // The seat.

  async elected(others: number, released: Promise<void>): Promise<void> {
    await this.gather(others);
    if (!this.seat.away && !this.over.signal.aborted) {
      this.begin();
    }
    await released;
  }

  deposed(): void {
    this.stepDown();
    this.join();
  }

  failed(error: Error): void {
    console.warn(error);
    this.finish(CODE.abnormal, "", false);
  }

  ping(): void {
    this.post({ kind: "ping", from: this.id });
  }

  hidden(mayReturn: boolean): void {
    const { leader } = this;
    if (!mayReturn && this.copy.facts.isPlain) {
      return; // an ordinary socket tells the app by itself that the page is gone
    }
    if (!mayReturn && leader?.alone) {
      leader.driver!.close(CODE.goingAway, "");
    }
    this.seat.away = true;
    this.joined = false;
    this.part();
  }

  back(): void {
    this.join();
  }

  // The lead.

  /** Asks the others what they have. */
  private async gather(others: number): Promise<void> {
    const { copy } = this;
    const { generation, heardTo } = copy;
    this.answers = [];
    if (others) {
      const all = new Promise<void>((resolve) => {
        this.answered = () => {
          if (this.answers.length >= others) {
            resolve();
          }
        };
        setTimeout(resolve, MAX_GATHER);
      });
      this.post({ kind: "gather", from: this.id, generation, heardTo });
      await all;
    }
    const replicas = this.answers.map(({ replica }) => replica);
    for (const replica of replicas) {
      if (copy.isBehind(replica) && replica.facts.state !== "closed") {
        this.take(replica);
      }
    }
    for (const message of this.answers.flatMap(({ missed }) => missed)) {
      this.hear(message, true);
    }
    copy.term = Math.max(copy.term, ...replicas.map(({ term }) => term)) + 1;
    if (!this.core.opened) {
      copy.heardTo = furthest(replicas) ?? copy.heardTo; // it has not heard any of them, and the others have
    }
    const { facts } = copy;
    if (facts.isOpen && facts.state !== "closed") {
      copy.facts = { ...facts, state: this.isClosing ? "closing" : "reconnecting" };
    }
  }

  private begin(): void {
    const { copy } = this;
    const { facts } = copy;
    this.joined = true;
    if (facts.isOpen && (facts.isPlain || !copy.saved)) {
      // There is no session to go on with: the connection has ended, as that of any WebSocket.
      this.endAll();
      return;
    }
    this.leader = new Leader(this, this.make, this.settings);
    for (const { from } of this.answers) {
      this.leader.joined(from);
    }
    this.post({ kind: "lead", replica: copy.replica() });
    this.leader.begin();
    this.synchronise();
  }

  private endAll(): void {
    const facts: Facts = { ...this.copy.facts, state: "closed" };
    const fields = { code: CODE.abnormal, reason: "", wasClean: false };
    for (const type of ["error", "close"]) {
      this.post({ kind: "event", term: this.copy.term, facts, type, fields });
      this.event(makeEvent(type, fields), facts);
    }
  }

  private answer({ from, generation, heardTo }: TabMessage & { kind: "gather" }): void {
    const { copy, log } = this;
    if (this.leader) {
      this.stepDown();
      this.join();
    }
    const comparable = generation === copy.generation && heardTo !== null && copy.heardTo !== null;
    const missed = (comparable && log.since(heardTo, copy.heardTo!)) || [];
    this.post({ kind: "gathered", to: from, from: this.id, replica: copy.replica(), missed });
    if (this.core.opened) {
      this.event(null, { ...copy.facts, state: "reconnecting" });
    }
  }

  // Among the others.

  private receive(message: TabMessage): void {
    const { copy, leader, id } = this;
    if (FROM_LEADER.includes(message.kind)) {
      this.seat.hear();
    }
    switch (message.kind) {
      case "hello":
        if (leader && !this.isClosing) {
          this.welcome(message);
        }
        break;
      case "bye":
        leader?.left(message.from);
        break;
      case "send":
        leader?.receive(message);
        break;
      case "confirm":
        if (message.term === copy.term) {
          leader?.confirmed(message.from, message.record);
        }
        break;
      case "ping":
        if (leader) {
          this.post({ kind: "pong", term: copy.term });
        }
        break;
      case "gather":
        this.answer(message);
        break;
      case "gathered":
        if (message.to === id) {
          this.answers.push(message);
          this.answered?.();
        }
        break;
      case "lead":
        if (message.replica.term > copy.term || !this.joined) {
          this.follow(message.replica);
          if (copy.heardTo !== null && less(copy.heardTo, message.replica.heardTo ?? copy.heardTo)) {
            this.hello(); // asks for what it has not heard
          }
        }
        break;
      case "welcome":
        if (message.to === id && message.replica.term >= copy.term) {
          this.welcomed(message);
        }
        break;
      case "again":
        if (message.term === copy.term) {
          this.synchronise();
        }
        break;
      case "record":
        this.note(message);
        break;
      case "heard":
        if (this.joined && message.generation === copy.generation && !leader) {
          this.hear(message.message);
        }
        break;
      case "event":
        if (this.joined && message.term === copy.term && !leader) {
          const { facts, type, fields, whose } = message;
          copy.facts = facts;
          this.event(makeEvent(type, fields), facts, whose);
        }
        break;
    }
  }

  /** Tells a tab that comes, or comes back, what it needs. */
  private welcome({ from, generation, heardTo }: TabMessage & { kind: "hello" }): void {
    const { copy, log } = this;
    const isSame = generation === copy.generation;
    const missed =
      !isSame || heardTo === null || copy.heardTo === null ? [] : log.since(heardTo, copy.heardTo);
    this.leader!.joined(from);
    this.post({ kind: "welcome", to: from, replica: copy.replica(), missed });
  }

  private welcomed({ replica, missed }: TabMessage & { kind: "welcome" }): void {
    if (!missed) {
      this.copy.heardTo = replica.heardTo;
    }
    this.follow(replica);
    if (missed) {
      for (const message of missed) {
        this.hear(message);
      }
    } else {
      // It was away for too long. What it has sent is not lost.
      this.tell(makeEvent("reset", { reason: "lost", status: 0, unacknowledged: [] }));
    }
  }

  /** Hears a leader from here on. */
  private follow(replica: Replica): void {
    if (this.leader) {
      this.stepDown(); // it had stood still
      this.join();
    }
    this.take(replica);
    this.joined = true;
    this.synchronise();
  }

  /** Takes a copy over. */
  private take(replica: Replica): void {
    const isOther = this.core.opened && replica.generation !== this.copy.generation;
    this.copy.replace(replica);
    if (isOther) {
      this.lose("lost", 0); // while this tab was away
    }
  }

  /** Takes over what the leader has noted. */
  private note({ term, record, facts, change }: TabMessage & { kind: "record" }): void {
    const { copy } = this;
    if (!this.joined || term < copy.term || this.leader) {
      return;
    }
    if (term > copy.term || record !== copy.record + 1) {
      this.hello(); // it was away
      return;
    }
    copy.apply(record, facts, change);
    this.post({ kind: "confirm", from: this.id, term, record });
    this.changed(change);
  }

  /** Handles a message of the app's, once. */
  protected hear(message: Heard, quiet = false): void {
    const { copy } = this;
    const { at: seq, data } = message;
    if (copy.heardTo !== null && !less(copy.heardTo, seq)) {
      return;
    }
    if (copy.heardTo !== null && seq !== add(copy.heardTo, 1)) {
      if (!quiet) {
        this.hello(); // asks for those between
      }
      return;
    }
    copy.heardTo = seq;
    this.log.append(message);
    this.tell({ seq, data });
  }
}

/** The furthest that any tab has heard of the newest session. */
function furthest(replicas: readonly Replica[]): number | null {
  const generation = Math.max(...replicas.map((replica) => replica.generation));
  let most: number | null = null;
  for (const { generation: its, heardTo } of replicas) {
    if (its === generation && heardTo !== null && (most === null || less(most, heardTo))) {
      most = heardTo;
    }
  }
  return most;
}
