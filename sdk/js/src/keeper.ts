import type { Machine } from "./machine.ts";
import type { Receipt } from "./outbox.ts";
import type { Data } from "./store.ts";

/** What keeps a session on disk. None of its methods throws. */
export interface Keeper {
  /** Keeps a message of the outbox, with its key if it has one. */
  put(position: number, data: Data, key?: string): void;
  /** Saves the state: `saveDue` of the machine is set. */
  save(now: number): void;
  /** Forgets all: the session is lost. */
  clear(): void;
  /** The session is over. May be called again. */
  close(): void;
}

/** Makes the receipt of a message that was kept with its key. */
export type ToReceipt = (key: string) => Receipt;

/**
 * Starts to keep the session of a machine, whose driver performs what `perform` is given. Until the disk has
 * answered, the machine is `blocked` and dials nothing. With `toReceipt` messages go on with their keys.
 */
export type Keep = (
  machine: Machine,
  perform: (change: (machine: Machine, now: number) => void) => void,
  toReceipt?: ToReceipt,
) => Keeper;
