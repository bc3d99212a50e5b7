import type { Transport } from "./options.ts";

/** What a handshake offers to resume (PROTOCOL §2.1). */
export interface Resume {
  readonly token: string;
  readonly received: number;
  readonly next: number;
}

/** Why a connection is over: a close code, 1006 if it broke. */
export interface Death {
  readonly code: number;
  readonly reason: string;
}

/** One connection as the machine sees it, from the dial on. */
export class Leg {
  /** The driver's: the machine does not touch it. */
  socket?: Transport;
  /** The handshake was answered. */
  opened = false;
  /** The sidecar has said WELCOME, or there is none. */
  welcomed = false;
  /** What was offered; undefined to begin a session. */
  resume?: Resume | undefined;
  /** When the dial began, then the handshake's end, then WELCOME. */
  since: number;
  /** When anything came last. */
  heard: number;
  /** By when something must come after a probe; 0: none was made. */
  dead = 0;
  /** It was not given up although nothing came: we were late ourselves. */
  spared = false;
  /** Last data message that came here (PROTOCOL §4.4). */
  count = 0;
  /** Another dial was made while this one worked, so 4409 may be our own doing. */
  rival = false;
  /** Seq of the last HEARTBEAT that was accepted. */
  beat?: number;
  /** Payload of the HEARTBEAT to be answered. */
  answer: Uint8Array | null = null;
  /** A HEARTBEAT of ours is due. */
  probe = false;
  /** An ACK is due. */
  ack = false;
  /** CLOSE was sent here. */
  closed = false;
  /** The connection is over: its socket is to be closed. */
  death: Death | null = null;

  constructor(now: number) {
    this.since = this.heard = now;
  }
}
