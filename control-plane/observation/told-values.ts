import type { Duration } from "@bufbuild/protobuf/wkt";

// What a node says is kept, added up, stored and shown, by faces that fail as a whole where one value of it cannot be
// written: an int64 that was rounded up to 2^63, a fraction of a nanosecond, a year beyond 9999, half of a character.
// A node may be anyone, so each value is read here, once.

const dayUs = 86_400_000_000;

/** The last moment of the year 9999, beyond which protobuf's JSON has no timestamps. */
const timeMaxMs = 253_402_300_799_999;

/** A count that a node tells: from 0 to what a number can count to. */
export function toldCount(told: bigint): number {
  return countable(Number(told));
}

/** A count, or a sum of those that nodes tell, as far as it can be counted with. */
export function countable(count: number): number {
  return Math.min(Math.max(0, count), Number.MAX_SAFE_INTEGER);
}

/** A time that something took, in milliseconds to the microsecond: from 0, also for none, to a day. */
export function toldDurationMs(told: Duration | undefined): number {
  const us = told === undefined ? 0 : Number(told.seconds) * 1e6 + Math.round(told.nanos / 1e3);
  return us > 0 ? Math.min(us, dayUs) / 1e3 : 0;
}

/** When something was, in unix milliseconds: from 1970, also for none, to the year 9999. */
export function toldTimeMs(told: bigint): number {
  return Math.min(toldCount(told), timeMaxMs);
}

/** The beginning of a text. A character of two UTF-16 units that the cut parts is shown as one that is not known. */
export function toldText(told: string, maxLength: number): string {
  if (told.length <= maxLength) return told.toWellFormed();
  // By way of bytes: a slice refers to the whole, which would stay in memory with it.
  return Buffer.from(told.slice(0, maxLength)).toString();
}
