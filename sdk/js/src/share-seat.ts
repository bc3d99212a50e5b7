/** How often a tab asks whether the leader runs, in ms. */
const PING_INTERVAL = 1500;

/** After so long without a word from it another tab takes over, in ms: it is frozen, or its process stands still. */
const LEADER_TIMEOUT = 4500;

/** What happens to a tab's seat. */
export interface Seated {
  /** This tab leads until the promise resolves. `others` tabs wait for the lead. */
  elected(others: number, released: Promise<void>): Promise<void>;
  /** Another tab took the lead, since this one stood still. */
  deposed(): void;
  /** The lead cannot be had here, now or later. */
  failed(error: Error): void;
  /** The page is frozen or left; false: for good. */
  hidden(mayReturn: boolean): void;
  /** The page is back. */
  back(): void;
  /** The leader is to be asked whether it runs. */
  ping(): void;
}

/**
 * Who leads: whoever holds the lock `name`, for which the others queue. It ends with its tab, also with one that
 * crashes. From a leader that stands still it is stolen, but only by a tab whose timers run.
 */
export class Seat {
  private readonly name: string;
  private readonly tab: Seated;
  private readonly over: AbortSignal;
  private queue = new AbortController();
  /** Lets the lock go. */
  private release: (() => void) | undefined;
  /** When a leader was heard last, and when we last looked, in ms. */
  private leaderHeard = 0;
  private looked = 0;
  /** The page is frozen, or in the back-forward cache. */
  away = false;

  constructor(name: string, id: string, tab: Seated, over: AbortSignal) {
    this.name = name;
    this.tab = tab;
    this.over = over;
    this.hold(
      `${name}:${id}`,
      () => new Promise((resolve) => over.addEventListener("abort", () => resolve())),
    );
    this.watch();
  }

  /** Queues for the lead. */
  join(): void {
    this.away = false;
    this.leaderHeard = this.looked = Date.now();
    this.queue = new AbortController();
    this.hold(this.name, () => this.lead(), { signal: this.queue.signal });
  }

  /** Gives the lead up, or the place in the queue. */
  leave(): void {
    this.queue.abort();
    this.release?.();
    this.release = undefined;
  }

  /** Notes that a leader was heard. */
  hear(): void {
    this.leaderHeard = Date.now();
  }

  /** Resolves when another tab is gone: each holds a lock of its own as long as it lives. */
  async gone(id: string, signal: AbortSignal): Promise<void> {
    await navigator.locks.request(`${this.name}:${id}`, { signal }, () => {});
  }

  /** Holds a lock while the promise of `work` is pending. */
  private hold(name: string, work: () => Promise<void>, options: LockOptions = {}): void {
    const { signal } = options;
    navigator.locks
      .request(name, options, () => (this.over.aborted || this.away ? undefined : work()))
      .catch((error) => {
        if (signal?.aborted || this.over.aborted || this.away) {
          return;
        }
        if (error.name === "AbortError") {
          this.leave(); // it was stolen
          this.tab.deposed();
        } else {
          this.tab.failed(error); // in a sandbox, say
        }
      });
  }

  private async lead(): Promise<void> {
    const released = new Promise<void>((resolve) => (this.release = resolve));
    const { pending = [] } = await navigator.locks.query();
    const others = pending.filter(({ name }) => name === this.name).length;
    if (!this.away && !this.over.aborted) {
      await this.tab.elected(others, released);
    }
  }

  /** Looks whether the leader still runs, unless we stood still ourselves. */
  private look(): void {
    const now = Date.now();
    if (now - this.looked > 2 * PING_INTERVAL) {
      this.leaderHeard = now;
    }
    this.looked = now;
    const silent = now - this.leaderHeard;
    if (this.away || this.release || silent < PING_INTERVAL) {
      return;
    }
    if (silent > LEADER_TIMEOUT) {
      this.leaderHeard = now;
      this.queue.abort();
      this.hold(this.name, () => this.lead(), { steal: true });
    } else {
      this.tab.ping();
    }
  }

  private watch(): void {
    const on = (target: EventTarget | undefined, type: string, act: (event: Event) => void) =>
      target?.addEventListener?.(type, act, { signal: this.over });
    const persisted = (event: Event) => (event as PageTransitionEvent).persisted;
    const hide = (mayReturn: boolean) => this.away || this.tab.hidden(mayReturn);
    const back = () => this.away && this.tab.back();
    on(globalThis, "pagehide", (event) => hide(persisted(event)));
    on(globalThis, "pageshow", (event) => persisted(event) && back());
    on(globalThis.document, "freeze", () => hide(true));
    on(globalThis.document, "resume", back);
    const timer = setInterval(() => this.look(), PING_INTERVAL);
    this.over.addEventListener("abort", () => clearInterval(timer));
  }
}
