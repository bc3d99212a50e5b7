// The DOM's types in our declarations, which must also compile where TypeScript is not given the DOM's library.

/** A class of the DOM, or what stands for it. */
type Dom<Name extends string, Else> = typeof globalThis extends { [key in Name]: { prototype: infer T } }
  ? T
  : Else;

export type DomEvent = Dom<"Event", { readonly type: string }>;
export type DomMessageEvent = Dom<
  "MessageEvent",
  DomEvent & { readonly data: string | ArrayBuffer | DomBlob }
>;
export type DomCloseEvent = Dom<
  "CloseEvent",
  DomEvent & { readonly code: number; readonly reason: string; readonly wasClean: boolean }
>;
export type DomBlob = Dom<"Blob", { readonly size: number; arrayBuffer(): Promise<ArrayBuffer> }>;
export type DomURL = Dom<"URL", { readonly href: string }>;
export type DomWebSocket = Dom<"WebSocket", unknown>;
export type DomAbortSignal = Dom<
  "AbortSignal",
  { readonly aborted: boolean; addEventListener(type: "abort", listener: () => void): void }
>;

export type DomListener = ((event: DomEvent) => void) | { handleEvent(event: DomEvent): void };
export type DomListenOptions =
  | boolean
  | { capture?: boolean; once?: boolean; passive?: boolean; signal?: DomAbortSignal };

export type DomEventTarget = Dom<
  "EventTarget",
  {
    addEventListener(type: string, listener: DomListener | null, options?: DomListenOptions): void;
    removeEventListener(type: string, listener: DomListener | null, options?: DomListenOptions): void;
    dispatchEvent(event: DomEvent): boolean;
  }
>;

/** What `using` wants, where TypeScript knows it. */
export type Disposing = SymbolConstructor extends { readonly dispose: infer D extends symbol }
  ? { [key in D]: () => void }
  : unknown;
