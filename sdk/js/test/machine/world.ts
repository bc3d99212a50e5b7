import assert from "node:assert/strict";
import type { Connection } from "../../src/connection.ts";
import type { ResetEvent } from "../../src/events.ts";
import { dispatched, receive } from "../../src/incoming.ts";
import { type AppMessage, Machine } from "../../src/machine.ts";
import { nextMessage } from "../../src/outgoing.ts";
import { attach, beginDial, broken, offer, wantDial } from "../../src/redial.ts";
import { restore, snapshot, snapshotSaved } from "../../src/saving.ts";
import { add, distance, lessEq } from "../../src/serial.ts";
import type { Data } from "../../src/store.ts";
import { tick } from "../../src/timing.ts";
import { byteLength } from "../../src/utf8.ts";
import { CODE, decode, isMagic, TYPE } from "../../src/wire.ts";
import type { Chance } from "./chance.ts";
import { Disk } from "./disk.ts";
import { carried, message } from "./message.ts";
import { type Attachment, Sidecar, WINDOW } from "./sidecar.ts";

const SETTINGS = {
  ...{ reconnectDelay: 100, maxReconnectDelay: 2000, logger: console, connectTimeout: 10_000 },
  ...{
    outboxMessages: 1 << 16,
    outboxBytes: 1 << 24,
    retryInitialConnect: true,
    newSessionAfterReset: false,
  },
};

/** Messages that the page leaves unacknowledged at most: it looks at `unacknowledged`. */
const MOST_PENDING = 40;

/** A connection: `conn` is the sidecar's end, and `up` what is under way from the client. */
export interface Link {
  readonly connection: Connection;
  conn: Attachment | null;
  offered: boolean;
  readonly up: { data: Data; read: boolean }[];
  /** Messages of the page that it carried. */
  readonly carried: string[];
  /** Nothing passes any more, and nobody says so. */
  silent: boolean;
}

/** A message of the page. */
interface Sent {
  readonly size: number;
  acknowledged: boolean;
  /** The page was told that the session ended before it was acknowledged. */
  rejected: boolean;
  /** It was in the outbox of a page that is gone, and may be lost with it. */
  orphan: boolean;
}

/** A page with its machine, the sidecar, and a network between them that is broken from outside. */
export class World {
  readonly chance: Chance;
  readonly disk: Disk | null;
  readonly base: number;
  readonly sidecar: Sidecar;
  machine: Machine;
  now = 1_700_000_000_000;
  links: Link[] = [];
  readonly sent = new Map<string, Sent>();
  readonly heard: string[] = [];
  resets = 0;
  reloads = 0;
  readonly closes: CloseEvent[] = [];

  /** What the page knows to be unacknowledged; its successor after a reload does not. */
  private pending: { messages: number; bytes: number } | null = { messages: 0, bytes: 0 };

  constructor(chance: Chance, base: number, durable: boolean) {
    this.chance = chance;
    this.base = base;
    this.sidecar = new Sidecar(base, base);
    this.disk = durable ? new Disk() : null;
    this.machine = this.page();
  }

  private page(): Machine {
    const machine = new Machine(SETTINGS, this.chance.float);
    machine.durable = this.disk !== null;
    return machine;
  }

  /** The page sends a message, if it is wise. */
  send(): void {
    const { machine } = this;
    if (!machine.opened || machine.ending || machine.out.unacked >= MOST_PENDING) {
      return;
    }
    const id = `i${this.sent.size}`;
    const data = message(
      id,
      this.chance.below(this.chance.oneIn(8) ? 2 * WINDOW : 200),
      this.chance.below(3),
    );
    const size = typeof data === "string" ? byteLength(data) : data.length;
    const sent = { size, acknowledged: false, rejected: false, orphan: false };
    this.sent.set(id, sent);
    const { pending } = this;
    if (pending) {
      pending.messages++;
      pending.bytes += size;
    }
    machine.out.push(data, size, {
      resolve: () => {
        assert.ok(!sent.acknowledged && !sent.rejected, "settled twice");
        assert.ok(
          this.sidecar.apps.some((app) => app.includes(id)),
          `${id} acknowledged, and no app has it`,
        );
        sent.acknowledged = true;
        if (pending) {
          pending.messages--;
          pending.bytes -= size;
        }
      },
      reject: () => {
        assert.ok(!sent.acknowledged && !sent.rejected, "settled twice");
        sent.rejected = true;
      },
    });
    this.disk?.put(machine.out.lastPos, data);
    this.perform();
  }

  /** Drives the machine. */
  perform(): void {
    const { machine } = this;
    for (let turn = 0; turn < 3; turn++) {
      for (let output: Event | AppMessage | undefined; (output = machine.forPage.shift()); ) {
        this.hear(output);
      }
      tick(machine, this.now, 0);
      if (machine.saveDue) {
        this.disk?.save(snapshot(machine, this.now, this.now));
      }
      for (const link of [...this.links]) {
        this.tend(link);
      }
      if (wantDial(machine, this.now)) {
        const connection = beginDial(machine, this.now);
        this.links.push({ connection, conn: null, offered: false, up: [], carried: [], silent: false });
      }
    }
    this.check();
  }

  private hear(output: Event | AppMessage): void {
    if ("seq" in output) {
      const id = carried(output.data);
      assert.equal(output.seq, add(this.base, this.heard.length + 1), "numbers of what is dispatched");
      assert.ok(this.sidecar.losses > 0 || this.sidecar.said[this.heard.length] === id, `${id} is not next`);
      this.heard.push(id);
      dispatched(this.machine, this.now, output.seq, output.data.length, 20);
    } else if (output.type === "reset") {
      this.resets++;
      const { reason } = output as ResetEvent;
      // Whether the other side's last word has arrived, nobody can know (PROTOCOL §7).
      const known = reason === "lost" ? this.sidecar.losses > 0 : this.sidecar.ended;
      assert.ok(known, `reset: ${reason}`);
    } else if (output.type === "close") {
      this.closes.push(output as CloseEvent);
    }
  }

  private tend(link: Link): void {
    const { connection } = link;
    if (connection.endCode) {
      // But for a WELCOME that does not come in time, the other side does nothing wrong.
      const unwelcomed = !connection.welcomed && this.now >= connection.startedAt + 5000;
      assert.ok(connection.endCode !== CODE.violation || unwelcomed, "a violation");
      this.drop(link);
      return;
    }
    for (
      let data: Data | null;
      connection.opened && (data = nextMessage(this.machine, this.now, connection)) !== null;
    ) {
      link.up.push({ data, read: connection.welcomed });
      this.inspect(link, data);
    }
  }

  /** Judges what the client says. */
  private inspect(link: Link, data: Data): void {
    const control = typeof data !== "string" && isMagic(data) ? decode(data) : null;
    if (control && "ack" in control) {
      this.acknowledges(control.ack);
    } else if (control && control.type === TYPE.ack) {
      this.acknowledges(control.seq);
    } else if (!control || control.type === TYPE.escaped) {
      link.carried.push(carried(data));
      const flying = link.carried.map((id) => this.sent.get(id)!).filter(({ acknowledged }) => !acknowledged);
      const cost = flying.reduce((sum, { size }) => sum + size + 16, 0);
      assert.ok(!this.pending || flying.length <= 1 || cost <= WINDOW, `${cost} bytes under way`);
    }
  }

  private acknowledges(seq: number): void {
    assert.ok(lessEq(seq, add(this.base, this.heard.length)), `ack ${seq} of what was not dispatched`);
    assert.ok(!this.disk || lessEq(seq, this.machine.savedReceived), `ack ${seq} of what is not on disk`);
  }

  /** What must hold at any time. */
  private check(): void {
    const { out } = this.machine;
    assert.ok(
      out.queued >= 0 && out.queued <= out.unackedBytes,
      `queued ${out.queued} of ${out.unackedBytes}`,
    );
    if (this.pending && this.machine.stage !== "closed") {
      assert.equal(out.unacked, this.pending.messages, "messages in the outbox");
      assert.equal(out.unackedBytes, this.pending.bytes, "bytes in the outbox");
    }
  }

  // The network.

  /** Makes a handshake, and then answers it; lost: the answer does not arrive. */
  open(link: Link, lost: boolean): void {
    const { machine, now } = this;
    if (link.connection.opened || link.silent) {
      return;
    }
    if (!link.offered) {
      link.offered = true;
      offer(machine, link.connection);
      return;
    }
    const conn = this.sidecar.attach(link.connection.offered);
    if (lost) {
      this.fail(link);
      return;
    }
    link.conn = conn;
    attach(machine, now, link.connection);
    this.perform();
  }

  /** The connection ends without a word; some of what is under way still arrives. */
  fail(link: Link): void {
    this.up(link, this.chance.below(link.up.length + 1));
    this.drop(link);
    broken(this.machine, this.now, link.connection, CODE.abnormal, "", false);
    this.perform();
  }

  private drop(link: Link): void {
    this.links = this.links.filter((other) => other !== link);
  }

  /** Lets up to n messages arrive at the sidecar. */
  up({ conn, up, silent }: Link, n: number): void {
    for (const { data, read } of silent || !conn ? [] : up.splice(0, n)) {
      this.sidecar.receive(conn!, data, read);
    }
  }

  /** Lets up to n messages arrive at the client. */
  down(link: Link, n: number): void {
    for (; n > 0 && link.conn && !link.silent && !link.connection.endCode; n--) {
      const item = link.conn.down.shift();
      if (item === undefined) {
        return;
      }
      if (typeof item === "number") {
        this.drop(link);
        broken(this.machine, this.now, link.connection, item, "", true);
      } else {
        receive(this.machine, this.now, link.connection, item);
      }
      this.perform();
    }
  }

  pass(millis: number): void {
    this.now += millis;
    this.perform();
  }

  // The disk.

  /** Lets the disk work. */
  write(n: number): void {
    const saved = this.disk?.work(n);
    if (saved) {
      snapshotSaved(this.machine, saved);
      this.perform();
    }
  }

  /** The page is loaded again, and goes on with what is on disk. */
  reload(): void {
    if (!this.disk?.begun) {
      return;
    }
    for (const link of this.links) {
      this.up(link, this.chance.below(link.up.length + 1));
    }
    // What the app has not taken yet must be on disk: the new page counts from what the app has, and where it
    // does not know those messages, its own would be taken for them.
    this.sidecar.hand(1000);
    const left = this.disk.reload(this.chance);
    this.links = [];
    this.pending = null;
    this.reloads++;
    this.machine = this.page();
    restore(this.machine, this.now, this.now, left, (data) =>
      typeof data === "string" ? byteLength(data) : data.length,
    );
    this.heard.length = distance(this.base, left.saved.received);
    const kept = new Set(left.messages.map(({ data }) => carried(data!)));
    for (const [id, sent] of this.sent) {
      sent.orphan ||= !sent.acknowledged && !kept.has(id);
    }
    this.perform();
  }
}
