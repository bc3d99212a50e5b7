/** A message: text, or bytes that are not changed any more. */
export type Data = string | Uint8Array<ArrayBuffer>;

/** How many handshakes a page may have begun, at most, whose number did not get to the disk before its end. */
export const UNSAVED_DIALS = 16;

/** What a session must know after a reload, besides its messages. Numbers are those of PROTOCOL §4.2. */
export interface Saved {
  readonly token: string;
  /** How many handshakes have offered a token. */
  readonly dials: number;
  readonly epoch: number;
  /** Seq of the last outbound message that was dispatched to the page. */
  readonly received: number;
  /** Position of the last message of the outbox that was acknowledged. */
  readonly acked: number;
  /** What to add to a position to get the wire's seq (PROTOCOL §8.3). */
  readonly shift: number;
  /** The app's subprotocol. */
  readonly protocol: string;
  /** Wall clock, ms: when the sidecar will have forgotten the session. */
  readonly expires: number;
}

/** A message of the outbox; positions count up by one (uint32, RFC 1982) from `acked` + 1. */
export interface SavedMessage {
  readonly position: number;
  /** Null: the message was given up, and its position stays in use. */
  readonly data: Data | null;
  /** With the option `keys`: the key that it was delivered with, if it was. */
  readonly key?: string;
}

/** What the page before a reload, or a crash, has saved. */
export interface Restored {
  readonly saved: Saved;
  readonly messages: readonly SavedMessage[];
}

/**
 * The place where one session outlives its page. A place belongs to one tab at
 * a time, by a lock that ends with the tab.
 *
 * Writes take effect in the order of the calls. None of them throws: a store
 * that fails rejects what `save` returns and then takes nothing more.
 */
export interface Store {
  /** What was found there, or null. It does not change. */
  readonly restored: Restored | null;
  /** Keeps a message of the outbox. */
  put(message: SavedMessage): void;
  /** Keeps the state, and forgets the messages up to `saved.acked`. Resolves when it and all before it are on disk. */
  save(saved: Saved): Promise<void>;
  /** Forgets everything: the session is over. The place stays this tab's. */
  clear(): void;
  /** Gives the place up, with what is in it, after all writes. */
  close(): Promise<void>;
}
