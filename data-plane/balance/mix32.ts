/** A number of 32 bits that looks unlike its argument and its neighbours' results; unsigned, one for each argument. */
export function mix32(number: number): number {
  let mixed = number ^ (number >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** The n-th number that follows from a hash or a turn: as if drawn by lot, and the same each time. */
export function nthDraw(start: number, n: number): number {
  // Steps of the golden ratio of 2^32, so that neighbouring starts do not meet each other's draws.
  return mix32((start + Math.imul(n, 0x9e3779b9)) | 0);
}
