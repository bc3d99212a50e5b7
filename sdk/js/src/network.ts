/**
 * Listens to what the browser tells of the network and of the page, until the function that it returns is
 * called. Where there is no browser, nothing is heard.
 *
 * - `awake`: something changed that makes it worth looking: the network is back, or the page is seen again.
 * - `thawed`: the page was frozen. Browsers close its sockets, and tell it only after this (`readyState` still
 *   says OPEN).
 * - `gone`: the page is going away for good.
 */
export function watch(awake: () => void, thawed: () => void, gone: () => void): () => void {
  const end = new AbortController();
  const on = (target: EventTarget | undefined, type: string, listener: (event: Event) => void) =>
    target?.addEventListener?.(type, listener, { signal: end.signal });
  const { document } = globalThis;
  const persisted = (event: Event) => (event as PageTransitionEvent).persisted;
  on(globalThis, "online", awake);
  on(globalThis, "pageshow", (event) => persisted(event) && thawed());
  on(globalThis, "pagehide", (event) => persisted(event) || gone());
  on(document, "visibilitychange", () => document.hidden || awake());
  on(document, "resume", thawed);
  return () => end.abort();
}

/** Whether dialling is hopeless: there is no network, and the server is not on this machine. */
export function isOffline(url: string): boolean {
  return globalThis.navigator?.onLine === false && !/^wss?:\/\/(localhost|127\.|\[::1])/.test(url);
}

/** Whether nobody looks at the page, so that its timers are slow. */
export function isHidden(): boolean {
  return globalThis.document?.hidden === true;
}

/**
 * Rejects if the server cannot be reached, as far as a page can find out.
 *
 * Firefox delays WebSockets after refused connections, longer each time, up to a minute and for all tabs
 * together; requests it does not delay. So the next WebSocket is dialled when a request went through.
 */
export async function answers(url: string): Promise<void> {
  if (/firefox/i.test(globalThis.navigator?.userAgent)) {
    await fetch(url.replace("ws", "http"), { method: "HEAD", mode: "no-cors", cache: "no-store" });
  }
}
