import type { Driven, MakeDriver } from "./driver.ts";
import { makeEvent } from "./events.ts";
import type { Keep, Keeper } from "./keeper.ts";
import type { AppMessage, Machine, Restore } from "./machine.ts";
import type { Settings } from "./options.ts";
import type { Receipt } from "./outbox.ts";
import { restore, snapshot, snapshotSaved } from "./saving.ts";
import type { Copy } from "./share-copy.ts";
import { fieldsOf } from "./share-events.ts";
import type { Change, Facts, TabMessage, Whose } from "./share-messages.ts";
import type { Data, Saved } from "./store.ts";
import { sizeOf } from "./utf8.ts";
import { CODE } from "./wire.ts";

/** How long the other tabs may take to confirm what they have, in ms: one that is frozen is not waited for. */
const MAX_CONFIRM_WAIT = 1000;

/** Has the acknowledgement asked for; the tab whose message it is hears of it as of any other. */
const ASKS: Receipt = { resolve() {}, reject() {} };

/** What a leader does to its tab. */
export interface Led {
  readonly copy: Copy;
  /** Says something to the other tabs. */
  post(message: TabMessage): void;
  /** Handles what the leader has noted, as any other tab does. */
  changed(change: Change): void;
  /** Handles an output of the session, after the others were told. */
  output(output: Event | AppMessage, facts: Facts, whose?: Whose): void;
  /** Resolves when the tab of that name is gone. */
  gone(tab: string, signal: AbortSignal): Promise<void>;
}

/**
 * Has the session and its connection, in one tab of several. It counts as a session that is kept on disk: what the
 * others have is what the next leader goes on with, so nothing is sent, and nothing acknowledged, that they do not
 * have.
 */
export class Leader implements Keeper {
  readonly driver: Driven | undefined;
  private readonly tab: Led;
  private readonly settings: Settings;
  private machine!: Machine;
  private change!: Parameters<Keep>[1];
  /** By the other tabs, the last record that each has. */
  private readonly members = new Map<string, number>();
  private readonly end = new AbortController();
  /** Which record the others must have before anything is sent. */
  private needed = 0;
  private readonly saves: { record: number; saved: Saved }[] = [];
  /** Whose message is being given to the driver. */
  private giving: Whose | undefined;
  /** Whose message has lost its place to the one before it. */
  private moved: Whose | undefined;
  private settling = false;
  private laggards: ReturnType<typeof setTimeout> | undefined;
  /** Messages of other tabs came while the page restored the app's context, and were not taken. */
  private refused = false;

  constructor(tab: Led, make: MakeDriver, settings: Settings) {
    this.tab = tab;
    this.settings = settings;
    const keep: Keep = (machine, change) => this.keep(machine, change);
    this.driver = make({ ...settings, persist: keep }, (output) => this.output(output));
  }

  /** Whether there is no other tab. */
  get alone(): boolean {
    return !this.members.size;
  }

  /** Whether there is a connection, or was one in this tab. */
  get isOpen(): boolean {
    return this.machine.opened;
  }

  get restoring(): Restore | null {
    return this.machine.restoring;
  }

  get refusals(): number {
    return this.machine.refusals;
  }

  /** Begins. What it found must be known to the others before anything follows from it. */
  begin(): void {
    const { saved } = this.tab.copy;
    if (saved) {
      this.note({ kind: "save", saved });
      this.mustBeKnown();
    }
  }

  /** Counts a tab as one that has what was recorded so far. */
  joined(tab: string): void {
    if (!this.members.has(tab)) {
      this.tab.gone(tab, this.end.signal).then(
        () => this.left(tab),
        () => {},
      );
    }
    this.members.set(tab, this.tab.copy.record);
  }

  left(tab: string): void {
    this.members.delete(tab);
    this.settle();
  }

  confirmed(tab: string, record: number): void {
    if (!this.members.has(tab)) {
      this.joined(tab);
    }
    this.members.set(tab, record);
    this.settle();
  }

  /** Takes a message of another tab, unless it is not its turn. */
  receive({ from, number, behind, generation, data, wantsAck }: TabMessage & { kind: "send" }): void {
    const { taken, generation: present } = this.tab.copy;
    const before = taken[from] ?? 0;
    if (generation < present) {
      taken[from] = Math.max(before, number); // its page has got it back with `reset`
    } else if (behind <= before && number > before) {
      if (this.restoring?.takesAll || this.refused) {
        this.refused = true; // it is no part of what restores the app's context
        this.listenAgain();
      } else {
        this.take(from, number, data, wantsAck);
      }
    }
  }

  take(tab: string, number: number, data: Data, asks: boolean, restore?: Restore): void {
    this.giving = { tab, number };
    this.driver!.send(data, sizeOf(data), asks ? ASKS : undefined, restore);
    this.giving = this.moved = undefined;
    if (this.machine.plain) {
      this.note({ kind: "sent", tab, number });
    }
  }

  /** Asks for what was refused, once it can be taken. */
  listenAgain(): void {
    if (this.refused && !this.restoring?.takesAll) {
      this.refused = false;
      this.tab.post({ kind: "again", term: this.tab.copy.term });
    }
  }

  /** Lets the connection go, and leaves the session to the next leader. */
  abandon(): void {
    this.end.abort();
    clearTimeout(this.laggards);
    this.members.clear();
    this.change((machine) => {
      for (const connection of [machine.current, machine.dialling]) {
        if (connection) {
          connection.endCode ||= CODE.normal;
        }
      }
      machine.current = machine.dialling = machine.restoring = null;
      machine.forPage.length = 0;
      machine.stage = "closed";
    });
  }

  // As the keeper of the session.

  put(position: number, data: Data): void {
    const whose = this.moved ?? this.giving;
    if (whose && !this.machine.plain) {
      this.moved = this.tab.copy.items.get(position);
      this.noteItem(position, whose, data);
    }
  }

  save(now: number): void {
    const { machine } = this;
    const { out } = machine;
    if (out.skippedPos !== undefined) {
      const item = this.tab.copy.items.get(out.skippedPos);
      if (item) {
        this.noteItem(item.position, item, null);
      }
      out.skippedPos = undefined;
    }
    const saved = snapshot(machine, now, Date.now());
    this.note({ kind: "save", saved });
    this.saves.push({ record: this.tab.copy.record, saved });
    if (machine.blocked) {
      this.mustBeKnown();
    }
  }

  clear(): void {
    this.saves.length = 0;
    this.needed = 0;
    this.note({ kind: "clear" });
  }

  close(): void {}

  private keep(machine: Machine, change: Parameters<Keep>[1]): Keeper {
    this.machine = machine;
    this.change = change;
    machine.durable = true;
    const { saved, items, heardTo } = this.tab.copy;
    if (saved) {
      const now = performance.timeOrigin + performance.now();
      const left = {
        saved: { ...saved, received: heardTo ?? saved.received },
        messages: [...items.values()],
      };
      restore(machine, now, Date.now(), left, sizeOf);
    }
    return this;
  }

  /** Notes a change, and tells it the other tabs. */
  private note(change: Change): void {
    const { copy } = this.tab;
    copy.apply(copy.record + 1, this.facts(), change);
    this.tab.changed(change);
    const { term, record, facts } = copy;
    this.tab.post({ kind: "record", term, record, facts, change });
    if (this.members.size) {
      this.laggards ??= setTimeout(() => this.dropLaggards(record), MAX_CONFIRM_WAIT);
    }
    if (!this.settling) {
      this.settling = true;
      queueMicrotask(() => {
        this.settling = false;
        this.settle();
      });
    }
  }

  private noteItem(position: number, { tab, number }: Whose, data: Data | null): void {
    this.note({ kind: "put", item: { position, tab, number, data } });
    this.mustBeKnown();
  }

  /** Has nothing sent before the others have what was noted last. */
  private mustBeKnown(): void {
    this.needed = this.tab.copy.record;
    this.machine.blocked = true;
  }

  private dropLaggards(record: number): void {
    this.laggards = undefined;
    for (const [tab, has] of this.members) {
      if (has < record) {
        this.members.delete(tab);
      }
    }
    this.settle();
  }

  /** Goes on with what the others have by now. */
  private settle(): void {
    const known = Math.min(this.tab.copy.record, ...this.members.values());
    const later = this.saves.findIndex(({ record }) => record > known);
    const saved = this.saves.splice(0, later < 0 ? this.saves.length : later).at(-1)?.saved;
    const { blocked, saveDue, stage } = this.machine;
    const waits = blocked && (saveDue || known < this.needed);
    if ((saved || blocked !== waits) && stage !== "closed") {
      this.change((machine) => {
        if (saved) {
          snapshotSaved(machine, saved);
        }
        machine.blocked = waits;
      });
    }
  }

  /** What the tabs are to know; what is not known on a new connection stays what it was. */
  private facts(state = this.tab.copy.facts.state, opens = false): Facts {
    const { facts } = this.tab.copy;
    const { opened, plain, session, appProtocol, maxMessage } = this.machine;
    return {
      state: facts.isOpen && state === "connecting" ? "reconnecting" : state,
      url: this.driver?.serverUrl || facts.url,
      extensions: this.driver?.agreed || facts.extensions,
      protocol: appProtocol || facts.protocol,
      sessionName: session || facts.sessionName,
      isOpen: opens || facts.isOpen,
      isPlain: plain,
      largest: opened ? maxMessage : facts.largest,
    };
  }

  private output(output: Event | AppMessage): void {
    const { tab, machine } = this;
    const { copy } = tab;
    if (!(output instanceof Event)) {
      const { seq, data } = output;
      tab.post({ kind: "heard", generation: copy.generation, message: { at: seq, data } });
      tab.output(output, copy.facts);
      return;
    }
    const { type } = output;
    const wasOpened = copy.facts.isOpen;
    if (type === "reset" && wasOpened) {
      machine.opened = true; // what was for the page's first connection would begin a session without a word
    }
    const { state, ...fields } = fieldsOf(output);
    const facts = this.facts(state as Facts["state"] | undefined, type === "open");
    copy.facts = facts;
    const item = type === "rejected" ? copy.items.get(machine.out.skippedPos!) : undefined;
    const whose = item && { tab: item.tab, number: item.number };
    tab.post({ kind: "event", term: copy.term, facts, type, fields, whose });
    tab.output(output, facts, whose);
    this.listenAgain();
    if (type === "reset" && machine.stage !== "closed" && !this.settings.newSessionAfterReset) {
      const { reason } = fields;
      this.abandon();
      this.tellEnd(reason === "superseded" ? CODE.superseded : CODE.reset, `${reason}`);
    }
  }

  /** Tells all tabs that the session has ended. */
  private tellEnd(code: number, reason: string): void {
    const { tab } = this;
    const facts: Facts = { ...tab.copy.facts, state: "closed" };
    tab.copy.facts = facts;
    for (const event of [new Event("error"), makeEvent("close", { code, reason, wasClean: false })]) {
      const { type } = event;
      tab.post({ kind: "event", term: tab.copy.term, facts, type, fields: fieldsOf(event) });
      tab.output(event, facts);
    }
  }
}
