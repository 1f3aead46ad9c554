/**
 * Whether two pieces of a config say the same: plain data, also with bytes in it.
 *
 * Cost: some 1 us for a route, less where an early field differs.
 */
export function isAlike(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (one instanceof Uint8Array) return other instanceof Uint8Array && Buffer.compare(one, other) === 0;
  if (Array.isArray(one)) return Array.isArray(other) && areAlike(one, other);
  if (Array.isArray(other)) return false;
  let count = 0;
  for (const name in one) {
    if (!Object.hasOwn(other, name)) return false;
    if (!isAlike((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name])) return false;
    count++;
  }
  for (const _ in other) count--;
  return count === 0;
}

/** Without a closure: there are some for each route, and a worker that compares a configuration has requests to answer. */
function areAlike(ones: readonly unknown[], others: readonly unknown[]): boolean {
  if (ones.length !== others.length) return false;
  for (let i = 0; i < ones.length; i++) if (!isAlike(ones[i], others[i])) return false;
  return true;
}
