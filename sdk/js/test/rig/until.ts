/** How long a condition may take, ms: enough for a slow machine that does other things as well. */
export const DEADLINE = 30_000;

/** Milliseconds between two looks at a condition. */
const EVERY = 5;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until a condition holds, and returns what it answered. The message of the error names what is missing. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string | (() => string),
  deadline: number = DEADLINE,
): Promise<NonNullable<T>> {
  const end = performance.now() + deadline;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (performance.now() > end) {
      throw new Error(`not within ${deadline} ms: ${typeof what === "string" ? what : what()}`);
    }
    await sleep(EVERY);
  }
}

/** Waits for an event of an EventTarget. */
export function event<E extends Event = Event>(
  target: EventTarget,
  name: string,
  deadline: number = DEADLINE,
): Promise<E> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name} within ${deadline} ms`)), deadline);
    target.addEventListener(
      name,
      (e) => {
        clearTimeout(timer);
        resolve(e as E);
      },
      { once: true },
    );
  });
}
