import assert from "node:assert/strict";
import type { Resume } from "../../src/connection.ts";
import { payload } from "../../src/heartbeat.ts";
import { add, distance, less, lessEq } from "../../src/serial.ts";
import type { Data } from "../../src/store.ts";
import {
  CODE,
  decode,
  encodeAck,
  encodeBeat,
  encodeClose,
  escapeData,
  isMagic,
  TYPE,
  type Welcome,
} from "../../src/wire.ts";
import { encodeGoAway, encodeReset, encodeWelcome } from "../encode.ts";
import { carried } from "./message.ts";

/** Bytes that a client may have under way. */
export const WINDOW = 2000;

/** PROTOCOL §4.8. */
const RESET_UNKNOWN = 1;
const RESET_LOST = 3;

/** A message of the app, and its number. */
interface Frame {
  readonly seq: number;
  readonly data: Data;
}

/** What the journal has of a session: it may be behind. */
interface Journal {
  readonly handed: number;
  readonly acked: number;
  readonly head: number;
  readonly frames: readonly Frame[];
}

/** One connection, as the sidecar has it. */
export class Attachment {
  /** What is under way to the client; a number is a close code. */
  readonly down: (Data | number)[] = [];
  over = false;
  /** Last message that came here. */
  count = 0;
  /** Last message that was sent here. */
  sent = 0;
  /** The client sends nothing before it has read WELCOME. */
  waits = true;
  /** Serial of the token that came with the first WELCOME here. */
  token = 0;
  closeSent = false;
  beats = 0;
}

/**
 * The other end, which follows PROTOCOL and forgives nothing: what the client does wrong fails the test. It has
 * an app, which notes what it is handed, and a journal from which another owner can go on.
 */
export class Sidecar {
  /** What the app's sockets were handed, a list for each. */
  readonly apps: string[][] = [[]];
  /** What the app said, but for what was lost with an owner. */
  said: string[] = [];
  /** The newest connection. */
  conn: Attachment | null = null;
  /** The owner hands its session over to whom the client comes to next, or is gone. */
  fate: "alive" | "draining" | "lost" = "alive";
  /** How many owners were lost. */
  losses = 0;
  /** The app has closed, or answered the client's close, with this code. */
  closed = 0;
  /** The client has. */
  clientClosed = 0;

  /** The session is over. */
  ended = false;

  private begun = false;
  private epoch = 1;
  private tokens = 0;
  /** The newest token that the client is known to have, and the first one that told of the last adoption. */
  private proven = 0;
  private told = 0;
  private adoption = 0;
  /** After an owner was lost: what the client claimed, and the first token that told it. */
  private claim = 0;
  private renumbered = 0;

  private received: number;
  private handed: number;
  private acked: number;
  private head: number;
  /** The last message that was sent on any connection. */
  private reach: number;
  /** Number of the last handshake. */
  private dials = 0;
  private queue: string[] = [];
  private frames: readonly Frame[] = [];
  private journal: Journal;

  constructor(inbound: number, outbound: number) {
    this.received = this.handed = inbound;
    this.acked = this.head = this.reach = outbound;
    this.journal = { handed: inbound, acked: outbound, head: outbound, frames: [] };
  }

  /** Answers a handshake. */
  attach(resume: Resume | undefined): Attachment {
    if (this.conn) {
      this.end(this.conn, CODE.superseded);
    }
    const conn = new Attachment();
    this.conn = conn;
    const reset = this.ended ? RESET_UNKNOWN : resume ? this.resumes(resume) : this.begins();
    if (reset) {
      conn.down.push(encodeReset(reset));
      this.end(conn, CODE.reset);
      return conn;
    }
    const received = resume?.lastIn ?? this.acked;
    this.release(received);
    conn.count = resume?.next ? add(resume.next, -1) : this.handed;
    conn.sent = received;
    conn.waits = !resume?.next;
    this.welcome(conn, resume ? 1 : 0);
    return conn;
  }

  private begins(): number {
    assert.ok(!this.begun, "a session begins twice");
    this.begun = true;
    return 0;
  }

  private resumes({ token, lastIn: received, next, dial }: Resume): number {
    // Also across reloads: a lower one would be taken for late (PROTOCOL §8.1).
    assert.ok(dial > this.dials, `attempt ${dial} after ${this.dials}`);
    this.dials = dial;
    const serial = Number(token.slice(1));
    assert.ok(serial >= this.proven && serial <= this.tokens, `token ${serial}, proven ${this.proven}`);
    this.proven = serial;
    // Who was not told that an owner is lost may have messages of that one, whose numbers the next one gave to
    // others, and acknowledgements that the next one does not know of.
    const ahead = less(this.claim, received) || (next && less(add(this.received, 1), next));
    if (serial < this.renumbered && ahead) {
      return RESET_LOST;
    }
    if (this.fate !== "alive") {
      this.adopt(received, next);
    }
    assert.ok(lessEq(this.acked, received), `received ${received}, acknowledged ${this.acked}`);
    assert.ok(lessEq(received, this.reach), `received ${received}, sent ${this.reach}`);
    assert.ok(!next || lessEq(next, add(this.received, 1)), `next ${next}, received ${this.received}`);
    return 0;
  }

  /** Another owner goes on from the journal (PROTOCOL §8.3). */
  private adopt(received: number, next: number): void {
    this.adoption = this.fate === "draining" ? 1 : 2;
    if (this.fate === "draining") {
      this.hand(this.queue.length);
      this.write();
    }
    const { handed, acked, head, frames } = this.journal;
    const last = less(head, received) ? received : head;
    this.said.length -= distance(last, this.head);
    this.frames = frames;
    this.acked = acked;
    this.head = this.reach = last;
    this.queue = [];
    this.received = this.handed = next && less(handed, add(next, -1)) ? add(next, -1) : handed;
    this.apps.push([]);
    this.fate = "alive";
    this.epoch++;
    this.told = this.tokens + 1;
    if (this.adoption === 2) {
      this.claim = received;
      this.renumbered = this.told;
    }
    this.write();
  }

  private welcome(conn: Attachment, status: number): void {
    const adopted = this.proven < this.told;
    this.tokens++;
    conn.token ||= this.tokens;
    conn.down.push(
      encodeWelcome({
        status: adopted ? 2 : status,
        reason: adopted ? this.adoption : 0,
        epoch: this.epoch,
        inboundAck: this.handed,
        nextOutbound: add(conn.sent, 1),
        window: WINDOW,
        ttlMillis: 2 ** 31,
        token: `t${this.tokens}`,
      } satisfies Partial<Welcome>),
    );
  }

  /** Takes a message of the client. `read` tells whether the client has read WELCOME. */
  receive(conn: Attachment, bytes: Data, read: boolean): void {
    if (conn.over) {
      return;
    }
    const control = typeof bytes !== "string" && isMagic(bytes) ? decode(bytes) : null;
    if (!control || control.type === TYPE.escaped) {
      assert.ok(read || !conn.waits, "data of a client that waits");
      this.take(conn, control?.data ?? bytes);
      return;
    }
    assert.ok(read, "a control message before WELCOME");
    this.proven = Math.max(this.proven, conn.token);
    switch (control.type) {
      case TYPE.ack:
        this.acknowledged(conn, control.seq);
        break;
      case TYPE.heartbeat:
      case TYPE.heartbeatAck:
        assert.equal(control.sent, conn.count, "sent");
        this.acknowledged(conn, control.ack);
        if (control.type === TYPE.heartbeat) {
          conn.down.push(encodeBeat(TYPE.heartbeatAck, control.payload, conn.sent, this.handed));
        }
        break;
      case TYPE.close:
        this.clientClosed = control.code;
        this.hand(0);
        this.farewell(conn);
        break;
      default:
        assert.fail(`type ${control.type} of a client`);
    }
  }

  private take(conn: Attachment, data: Data): void {
    if (conn.waits) {
      this.proven = Math.max(this.proven, conn.token);
    }
    conn.count = add(conn.count, 1);
    assert.ok(lessEq(conn.count, add(this.received, 1)), "a gap");
    if (less(this.received, conn.count)) {
      assert.ok(!this.clientClosed, "data after CLOSE");
      this.received = conn.count;
      this.queue.push(carried(data));
    }
  }

  private acknowledged(conn: Attachment, seq: number): void {
    assert.ok(lessEq(seq, conn.sent), `ack ${seq}, sent ${conn.sent}`);
    this.release(seq);
  }

  private release(seq: number): void {
    if (less(this.acked, seq)) {
      this.acked = seq;
      this.frames = this.frames.filter((frame) => less(seq, frame.seq));
    }
  }

  /** The app takes up to n messages, and then the client's close. */
  hand(n: number): void {
    if (this.fate === "lost" || this.closed) {
      return;
    }
    for (const id of this.queue.splice(0, n)) {
      this.apps.at(-1)?.push(id);
      this.handed = add(this.handed, 1);
    }
    if (this.clientClosed && this.queue.length === 0) {
      this.closed = this.clientClosed;
    }
  }

  /** The app says something. */
  say(data: Data): void {
    this.head = add(this.head, 1);
    this.said.push(carried(data));
    this.frames = [...this.frames, { seq: this.head, data }];
  }

  /** Writes up to n messages to the connection, and then CLOSE. */
  pump(n: number): void {
    const { conn } = this;
    if (!conn || conn.over) {
      return;
    }
    for (const { seq, data } of this.frames) {
      if (n > 0 && seq === add(conn.sent, 1)) {
        n--;
        conn.sent = seq;
        this.reach = less(this.reach, seq) ? seq : this.reach;
        conn.down.push(typeof data !== "string" && isMagic(data) ? escapeData(data) : data);
      }
    }
    if (this.closed && conn.sent === this.head && !conn.closeSent) {
      conn.closeSent = true;
      conn.down.push(encodeClose(this.closed, "done"));
      this.farewell(conn);
    }
  }

  /** Once both have said CLOSE on a connection, it is closed, and the session over. */
  private farewell(conn: Attachment): void {
    if (this.clientClosed && conn.closeSent) {
      this.ended = true;
      this.end(conn, this.closed);
    }
  }

  private end(conn: Attachment, code: number): void {
    if (!conn.over) {
      conn.over = true;
      conn.down.push(code);
    }
  }

  ack(): void {
    this.speak(encodeAck(this.handed));
  }

  beat(): void {
    if (this.conn) {
      this.speak(encodeBeat(TYPE.heartbeat, payload(++this.conn.beats, 0), this.conn.sent, this.handed));
    }
  }

  /** Asks the client to move. */
  goAway(delay: number): void {
    this.speak(encodeGoAway(1, delay));
  }

  private speak(control: Data): void {
    if (this.conn && !this.conn.over) {
      this.conn.down.push(control);
    }
  }

  /** The app's socket broke and there is a new one. */
  restart(): void {
    if (this.conn && !this.conn.over && !this.closed) {
      this.hand(this.queue.length);
      this.apps.push([]);
      this.adoption = 3;
      this.told = this.tokens + 1;
      this.welcome(this.conn, 2);
    }
  }

  /** Writes the session down. */
  write(): void {
    const { handed, acked, head, frames } = this;
    this.journal = { handed, acked, head, frames };
  }

  /** The owner is gone, and its connections with it. */
  die(): void {
    if (this.conn) {
      this.conn.over = true;
    }
    this.losses++;
    this.fate = "lost";
  }
}
