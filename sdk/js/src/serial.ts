/**
 * Serial numbers of 32 bits (RFC 1982): counting goes on at 0 after 2^32 - 1, and of two numbers the later one
 * is that which is less than 2^31 steps ahead. Two that are exactly 2^31 apart have no order.
 */

/** Whether `a` comes before `b`. */
export function less(a: number, b: number): boolean {
  return ((b - a) | 0) > 0;
}

/** Whether `a` comes before `b` or is `b`. */
export function lessEq(a: number, b: number): boolean {
  return ((b - a) | 0) >= 0;
}

/** The number `n` steps after `a`, or before it if `n` is negative. */
export function add(a: number, n: number): number {
  return (a + n) >>> 0;
}

/** How many steps lead from `a` to `b`. */
export function distance(a: number, b: number): number {
  return (b - a) >>> 0;
}
