/** The shortest wait, in ms: a server that refuses at once is not dialled in a loop. */
const MIN_WAIT = 100;

/** The longest wait, in ms: a client is back soon after the server, and within a session's time to live. */
const MAX_WAIT = 30_000;

/**
 * How much longer each wait is than the one before, on average: a wait is about a quarter of the outage so far, and
 * the median page late by a seventh of it.
 */
const FACTOR = 1.25;

/**
 * Spaces out the attempts to reach a server, so that many who lost it together do not return together: each
 * wait is between nothing and twice its mean, within the limits.
 */
export class Backoff {
  private readonly firstMean: number;
  private maxWait = 0;
  private readonly chance: () => number;
  /** Mean of the next wait; 0: none was made yet. */
  private meanWait = 0;

  /** `base` is the mean of the first wait and `max` the longest, in ms; `random` is like Math.random. */
  constructor(base: number, max: number, random: () => number) {
    this.limitTo(max);
    this.firstMean = clamp(base, this.maxWait);
    this.chance = random;
  }

  /** How long to wait before the next attempt, in ms. With `atOnce` the first one of a series does not wait. */
  next(atOnce = false): number {
    const mean = Math.min(this.meanWait || (atOnce ? 0 : this.firstMean), this.maxWait / 2);
    this.meanWait = mean * FACTOR || this.firstMean;
    return mean && clamp(mean * 2 * this.chance(), this.maxWait);
  }

  /** Sets the longest wait. */
  limitTo(max: number): void {
    this.maxWait = clamp(max, MAX_WAIT);
  }

  /** Starts anew: what an attempt led to has lasted. */
  reset(): void {
    this.meanWait = 0;
  }
}

/** Written so that NaN falls on the safe side: it would be no wait at all. */
function clamp(wait: number, max: number): number {
  return wait > MIN_WAIT ? Math.min(wait, max) : MIN_WAIT;
}
