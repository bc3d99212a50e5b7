import type { Transport } from "./options.ts";

/** What a handshake offers to resume (PROTOCOL §2.1). */
export interface Resume {
  readonly token: string;
  readonly lastIn: number;
  readonly next: number;
  /** Number of the handshake: a late one does not supersede a newer one (PROTOCOL §8.1). */
  readonly dial: number;
}

/** The machine's state of one connection, from the dial on. */
export class Connection {
  /** The driver's; the machine does not use it. */
  socket?: Transport;
  /** How far the search for a sidecar is: see the driver. */
  bareStep = 0;
  /** The handshake has succeeded. */
  opened = false;
  /** WELCOME came, or there is no sidecar. */
  welcomed = false;
  /** What was offered; undefined for a new session. */
  offered?: Resume | undefined;
  /** When the dial started, then when the handshake ended, then when WELCOME came. */
  startedAt: number;
  /** When a message came last. */
  lastReceived: number;
  /** By when a message must come after a probe; 0: none was made. */
  probeDeadline = 0;
  /** It was not given up at `probeDeadline`, since our timer was late. */
  graceUsed = false;
  /** Number of the last data message that came here (PROTOCOL §4.4). */
  lastSeq = 0;
  /** Seq of the last HEARTBEAT that was accepted. */
  newestBeat?: number;
  /** Payload of the HEARTBEAT to be answered. */
  heartbeatReply: Uint8Array | null = null;
  /** A HEARTBEAT of ours is to be sent. */
  probeDue = false;
  /** An ACK is to be sent. */
  ackDue = false;
  /** How many RESTORED are to be sent, one for each adoption (PROTOCOL §8.6). */
  restoredDue = 0;
  /** GOAWAY came here, so another is or will be dialled, and a 4409 may be due to that. */
  leaving = false;
  /** CLOSE was sent here. */
  closeSent = false;
  /** What is known of why it failed. */
  failure = "";
  /** Set when the connection has ended for the machine: the code that its socket is to be closed with. */
  endCode = 0;

  constructor(now: number) {
    this.startedAt = this.lastReceived = now;
  }
}
