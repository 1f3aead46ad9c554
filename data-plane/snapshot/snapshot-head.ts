import type { ReceivedSnapshot } from "./apply-snapshot.ts";

/** They are 16; what is kept of a snapshot goes out with each hello, which a control plane takes up to 1 MiB of. */
const epochIdMaxBytes = 64;
const stateHashBytes = 32;

/** Whether all that names a snapshot can be told to any control plane, and written to disk. */
export function isWellNamed(head: Omit<ReceivedSnapshot, "entities">): boolean {
  const { epoch, publication, revision, stateHash } = head;
  const isIdFine = epoch.id.length > 0 && epoch.id.length <= epochIdMaxBytes;
  return isIdFine && stateHash.length === stateHashBytes && [epoch.counter, publication, revision].every(isCount);
}

/** A larger int64 is another one as a number, and 2^63 is none any more. */
export function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
