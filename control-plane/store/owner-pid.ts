import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The file beside a store that says whose it is. Information only: what holds the store is SQLite's lock. */
function ownerPidPath(storePath: string): string {
  return join(dirname(storePath), "owner.pid");
}

/** Names this process as the owner. Call it only with the lock held. */
export function writeOwnerPid(storePath: string): void {
  writeFileSync(ownerPidPath(storePath), `${process.pid}\n`);
}

/** Call it with the lock still held, so that a successor's file is never the one that goes. */
export function removeOwnerPid(storePath: string): void {
  rmSync(ownerPidPath(storePath), { force: true });
}

/** The process named as owner; null when none is named or it is no longer there (killed, file not yet rewritten). */
export function readOwnerPid(storePath: string): number | null {
  try {
    const pid = Number(readFileSync(ownerPidPath(storePath), "utf8"));
    if (!Number.isSafeInteger(pid) || pid <= 0) return null;
    return isAlive(pid) ? pid : null;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and another user's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
