/**
 * Listens to the browser's events about the network and the page, until the function that it returns is
 * called. Where there is no browser, there are none.
 *
 * - `awake`: the network is back, or the page is visible again.
 * - `thawed`: the page was frozen. Browsers close its sockets, and their events come only after this (until
 *   then `readyState` is OPEN).
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

/** Whether no dial can succeed: there is no network, and the server is not on this computer. */
export function isOffline(url: string): boolean {
  return globalThis.navigator?.onLine === false && !/\/\/(localhost|127\.|\[::1])/.test(url);
}

/** Whether the page is hidden, so that its timers are throttled. */
export function isHidden(): boolean | undefined {
  return globalThis.document?.hidden;
}

/**
 * Probes a server: rejects if it cannot be reached, as far as a page can find out.
 *
 * Firefox delays WebSockets after refused connections, longer each time, up to a minute and for all tabs
 * together; requests it does not delay. So the next WebSocket is dialled when a request went through.
 */
export async function reachable(url: string): Promise<void> {
  if (/firefox/i.test(globalThis.navigator?.userAgent)) {
    await fetch(url.replace("ws", "http"), { method: "HEAD", mode: "no-cors" });
  }
}
