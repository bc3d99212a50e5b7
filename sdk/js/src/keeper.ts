import type { Machine } from "./machine.ts";
import type { Data } from "./store.ts";

/** What keeps a session on disk. None of its methods throws. */
export interface Keeper {
  /** Keeps a message of the outbox. */
  put(position: number, data: Data): void;
  /** Saves the state: `saveDue` of the machine is set. */
  save(now: number): void;
  /** Forgets all: the session is lost. */
  clear(): void;
  /** The session is over. May be called again. */
  close(): void;
}

/**
 * Starts to keep the session of a machine, whose driver performs what `perform` is given. Until the disk has
 * answered, the machine is `blocked` and dials nothing.
 */
export type Keep = (
  machine: Machine,
  perform: (change: (machine: Machine, now: number) => void) => void,
) => Keeper;
