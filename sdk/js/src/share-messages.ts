// What the tabs that share a connection say to one another. Other versions of a page may be open beside this one, so
// no name here is ever shortened.
import type { State } from "./events.ts";
import type { Data, Saved } from "./store.ts";

/** Version of these messages. It is a part of the channel's name, so that versions do not hear each other. */
export const VERSION = 1;

/** What a tab tells its page of the session. */
export interface Facts {
  readonly state: State;
  readonly url: string;
  readonly extensions: string;
  readonly protocol: string;
  readonly sessionName: string;
  readonly isOpen: boolean;
  /** There is no sidecar. */
  readonly isPlain: boolean;
  readonly largest: number;
}

/** Whose message it is, and its number there, from 1 on. */
export interface Whose {
  readonly tab: string;
  readonly number: number;
}

/** A message of the page's, and where it stands in the session's outbox. */
export interface Item extends Whose {
  readonly position: number;
  /** Null: the message was given up. */
  readonly data: Data | null;
}

/** A message of the app's. */
export interface Heard {
  readonly at: number;
  readonly data: Data;
}

/** All that another tab needs to go on with the session. */
export interface Replica {
  /** Counts the leaders: what an earlier one says does not count any more. */
  readonly term: number;
  /** Counts the sessions: after `reset` there may be another. */
  readonly generation: number;
  /** Number of the last record of changes. */
  readonly record: number;
  readonly facts: Facts;
  readonly saved: Saved | null;
  /** What is not acknowledged, in the order of the positions. */
  readonly items: readonly Item[];
  /** Number of the last message that was taken from each tab. */
  readonly taken: Readonly<Record<string, number>>;
  /** Seq of the last message of the app's; null: there was none in this session. */
  readonly heardTo: number | null;
}

/** What changed, in its order. A tab confirms by the number what it has. */
export type Change =
  /** A message was taken. */
  | { readonly kind: "put"; readonly item: Item }
  /** A message was given to a connection without a sidecar. */
  | { readonly kind: "sent"; readonly tab: string; readonly number: number }
  /** A state that a resume can begin with. */
  | { readonly kind: "save"; readonly saved: Saved }
  /** The session is lost. */
  | { readonly kind: "clear" };

export type TabMessage =
  /** A tab is here; `heardTo` and `generation` say what it has heard of the app. Asks for `welcome`. */
  | {
      readonly kind: "hello";
      readonly from: string;
      readonly generation: number;
      readonly heardTo: number | null;
    }
  /** The leader's answer; `missed` is null if it has forgotten what the tab missed. */
  | {
      readonly kind: "welcome";
      readonly to: string;
      readonly replica: Replica;
      readonly missed: readonly Heard[] | null;
    }
  /** A tab goes away. */
  | { readonly kind: "bye"; readonly from: string }
  /** A page wants to send; `wantsAck`: it waits for the acknowledgement. */
  | {
      readonly kind: "send";
      readonly from: string;
      readonly generation: number;
      readonly number: number;
      /** Number of the message before it that the tab still has; 0: none. */
      readonly behind: number;
      readonly data: Data;
      readonly wantsAck: boolean;
    }
  /** Asks the leader whether it runs. */
  | { readonly kind: "ping"; readonly from: string }
  | { readonly kind: "pong"; readonly term: number }
  /** A new leader asks what there is, and for messages of the app's beyond `heardTo`. */
  | {
      readonly kind: "gather";
      readonly from: string;
      readonly generation: number;
      readonly heardTo: number | null;
    }
  | {
      readonly kind: "gathered";
      readonly to: string;
      readonly from: string;
      readonly replica: Replica;
      readonly missed: readonly Heard[];
    }
  /** A new leader begins. Tabs send again what it has not taken. */
  | { readonly kind: "lead"; readonly replica: Replica }
  /** Tabs are to send again what was not taken. */
  | { readonly kind: "again"; readonly term: number }
  | {
      readonly kind: "record";
      readonly term: number;
      readonly record: number;
      readonly facts: Facts;
      readonly change: Change;
    }
  | { readonly kind: "confirm"; readonly from: string; readonly term: number; readonly record: number }
  | { readonly kind: "heard"; readonly generation: number; readonly message: Heard }
  /** `whose`: the message that it is about, if it concerns one tab. */
  | {
      readonly kind: "event";
      readonly term: number;
      readonly facts: Facts;
      readonly type: string;
      readonly fields: object;
      readonly whose?: Whose | undefined;
    };
