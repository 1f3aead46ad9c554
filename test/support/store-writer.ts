// A process that writes to the store in its first argument until it is killed, with as many writers at once as the
// second says. It prints one line for each acknowledged write, only after the acknowledgement: its revision and id.
// Where the store is another's it prints the error's name and the owner's pid, and exits with 2.

import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { openSqliteStore } from "../../control-plane/store/sqlite-store.ts";
import { StoreLockedError } from "../../control-plane/store/store-error.ts";
import { upstreamWrite } from "./resource-write.ts";

const [path = "", writerCount = "8"] = process.argv.slice(2);

try {
  const store = await openSqliteStore(path);
  const write = async () => {
    for (;;) {
      const id = randomUUID();
      const outcome = await store.transact([upstreamWrite({ id, name: id })], "store-writer");
      if (!outcome.ok) throw new Error(JSON.stringify(outcome.conflict));
      // Synchronous: a kill after this line must not take the line along.
      print(`${outcome.revision} ${id}\n`);
    }
  };
  await Promise.all(Array.from({ length: Number(writerCount) }, write));
} catch (error) {
  if (!(error instanceof StoreLockedError)) throw error;
  print(`${error.name} ${error.ownerPid}\n`);
  process.exitCode = 2;
}

/** A pipe whose reader is slow may be full for a moment; a line is short enough to be written whole or not at all. */
function print(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}
