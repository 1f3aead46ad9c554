import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TicketKeySchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { upstreamWrite } from "../../test/support/resource-write.ts";
import { openSqliteStore, type SqliteStore } from "./sqlite-store.ts";
import type { Commit, ResourceWrite } from "./store.ts";
import { StoreUnusableError } from "./store-error.ts";

const secret = "forty-eight bytes that must not be on the disk!!";
const id = "11111111-1111-4111-8111-111111111111";

let folder: string;
let path: string;
let secretKeyPath: string;
let worker: Worker;
const opened: SqliteStore[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "penstock-sealed-"));
  path = join(folder, "store.db");
  secretKeyPath = join(folder, "secret.key");
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(): Promise<SqliteStore> {
  const startWorker = () => {
    worker = new Worker(new URL("./sqlite-worker.ts", import.meta.url));
    return worker;
  };
  const store = await openSqliteStore({ path, startWorker, logError: () => {} });
  opened.push(store);
  return store;
}

function ticketKeyWrite(operation: ResourceWrite["operation"], text = secret): ResourceWrite {
  const message = create(TicketKeySchema, { id, key: Buffer.from(text) });
  const body = operation === "delete" ? new Uint8Array() : toBinary(TicketKeySchema, message);
  return { kind: "ticket_key", id, operation, body, expectedRevision: null, uniqueKeys: [], references: [] };
}

const textOf = (bytes: Uint8Array | null | undefined) => (bytes == null ? null : Buffer.from(bytes).toString("latin1"));
const storedFiles = () =>
  ["store.db", "store.db-wal"].map((name) => readFileSync(join(folder, name), "latin1")).join("");

/** A store that holds one secret, closed. */
async function storeWithSecret(): Promise<void> {
  const store = await open();
  await store.transact([ticketKeyWrite("create")], "a");
  await store.close();
}

describe("SqliteStore with secrets", () => {
  it("gives image, listeners and history what was written, and the disk none of it", async () => {
    const store = await open();
    const commits: Commit[] = [];
    store.onCommit((commit) => commits.push(commit));
    const written = ticketKeyWrite("create");
    await store.transact([written], "a");
    await store.transact([ticketKeyWrite("update", secret.toUpperCase())], "a");
    await store.transact([ticketKeyWrite("delete")], "a");
    expect(textOf(commits[0]?.changes[0]?.after)).toBe(textOf(written.body));
    expect(textOf(commits[1]?.changes[0]?.before)).toBe(textOf(written.body));
    const history = await store.readChanges(0, 10);
    expect(history?.map(({ before, after }) => [textOf(before), textOf(after)])).toEqual(
      commits.flatMap(({ changes }) => changes).map(({ before, after }) => [textOf(before), textOf(after)]),
    );
    const onDisk = storedFiles();
    expect(onDisk).toContain("ticket_key");
    expect(onDisk.toLowerCase()).not.toContain(secret.slice(0, 20));
  });

  it("has the same bytes after a restart, and after its thread ended without an answer", async () => {
    await storeWithSecret();
    const store = await open();
    const body = textOf(ticketKeyWrite("create").body);
    expect(textOf(store.image.get("ticket_key", id)?.body)).toBe(body);
    await worker.terminate();
    await store.transact([upstreamWrite({ id: "u1", name: "u1" })], "a");
    expect(textOf(store.image.get("ticket_key", id)?.body)).toBe(body);
  });

  it.each<[string, () => void, RegExp]>([
    ["without the key", () => renameSync(secretKeyPath, `${secretKeyPath}.away`), /is missing: .*secret\.key$/],
    ["with another key", () => writeFileSync(secretKeyPath, "a".repeat(64)), /is not the one that it was sealed with/],
    ["with a broken key", () => writeFileSync(secretKeyPath, "a"), /does not hold 64 hexadecimal digits$/],
  ])("is not opened %s, loses nothing, and opens with its own", async (_name, spoil, reason) => {
    await storeWithSecret();
    const key = readFileSync(secretKeyPath);
    spoil();
    const [database, spoiltKey] = [readFileSync(path), existing(secretKeyPath)];
    const failure = await open().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoreUnusableError);
    expect((failure as Error).message).toMatch(reason);
    // Neither a new key nor an empty state in the place of what was there.
    expect(existing(secretKeyPath)).toEqual(spoiltKey);
    expect(readFileSync(path)).toEqual(database);
    writeFileSync(secretKeyPath, key);
    expect((await open()).image.count("ticket_key")).toBe(1);
  });

  it("is opened with a new key while it holds no secret", async () => {
    const first = await open();
    await first.transact([upstreamWrite({ id: "u1", name: "u1" })], "a");
    await first.close();
    rmSync(secretKeyPath);
    const store = await open();
    expect(store.image.count("upstream")).toBe(1);
    expect((await store.transact([ticketKeyWrite("create")], "a")).ok).toBe(true);
  });
});

function existing(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
}
