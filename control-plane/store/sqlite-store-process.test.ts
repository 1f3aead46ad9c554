import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { killAfterLines } from "../../test/support/kill-after-lines.ts";
import { upstreamWrite } from "../../test/support/resource-write.ts";
import { openSqliteStore } from "./sqlite-store.ts";
import { StoreLockedError, StoreUnusableError } from "./store-error.ts";

const storeWriter = fileURLToPath(new URL("../../test/support/store-writer.ts", import.meta.url));
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "penstock-store-"));
  path = join(folder, "store.db");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function startWriter(): ChildProcess {
  return spawn(process.execPath, [storeWriter, path], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Waits for a process to end; returns its exit code and what it printed. */
async function finish(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = "";
  child.stdout!.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  const [code] = await once(child, "close");
  return { code, output };
}

describe("openSqliteStore, against other processes", () => {
  it("refuses a second process and tells it whose the store is", async () => {
    const store = await openSqliteStore(path);
    expect(await finish(startWriter())).toEqual({ code: 2, output: `StoreLockedError ${process.pid}\n` });
    expect(await store.transact([upstreamWrite({ id: "u1", name: "u1" })], "a")).toMatchObject({ ok: true });
    await store.close();
  });

  it("is refused while another process has the file, with that one's pid", async () => {
    const writer = startWriter();
    await once(writer.stdout!, "data");
    const error = await openSqliteStore(path).catch((error: unknown) => error);
    writer.kill("SIGKILL");
    expect(error).toBeInstanceOf(StoreLockedError);
    expect(error).toMatchObject({ path, ownerPid: writer.pid });
  });

  it("keeps out a process that goes straight to the file, even to read", async () => {
    const store = await openSqliteStore(path);
    const script = `const { DatabaseSync } = require("node:sqlite");
      try { new DatabaseSync(process.argv[1]).prepare("SELECT * FROM meta").all(); console.log("read"); }
      catch (error) { console.log(error.message); }`;
    const reader = spawn(process.execPath, ["-e", script, path], { stdio: ["ignore", "pipe", "inherit"] });
    expect((await finish(reader)).output).toBe("database is locked\n");
    await store.close();
  });

  it("lets exactly one of several win that start at once", async () => {
    const writers = Array.from({ length: 4 }, startWriter);
    const outputs: Promise<string>[] = writers.map(async (writer) => String((await once(writer.stdout!, "data"))[0]));
    const first = await Promise.all(outputs);
    for (const writer of writers) writer.kill("SIGKILL");
    expect(first.filter((output) => !output.startsWith("StoreLockedError"))).toHaveLength(1);
  });

  it("finds every acknowledged write again after kill -9", async () => {
    const acknowledged = new Map<string, number>();
    for (const lineCount of [1, 40, 400]) {
      for (const line of await killAfterLines(startWriter(), lineCount)) {
        const [revision, id] = line.split(" ");
        acknowledged.set(id!, Number(revision));
      }
      const store = await openSqliteStore(path);
      for (const [id, revision] of acknowledged) expect(store.image.get("upstream", id)?.revision).toBe(revision);
      // What was committed but not acknowledged may be there, whole and counted.
      expect(store.image.count("upstream")).toBe(store.image.revision);
      await store.close();
    }
    expect(acknowledged.size).toBeGreaterThanOrEqual(441);
  });

  it("does not name a process that is gone", async () => {
    const writer = startWriter();
    await killAfterLines(writer, 1);
    expect(readFileSync(join(folder, "owner.pid"), "utf8")).toBe(`${writer.pid}\n`);
    const intruder = new DatabaseSync(path);
    intruder.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    await expect(openSqliteStore(path)).rejects.toMatchObject({ name: "StoreLockedError", ownerPid: null });
    intruder.close();
  });

  it("names its owner while it is open only", async () => {
    const store = await openSqliteStore(path);
    expect(readFileSync(join(folder, "owner.pid"), "utf8")).toBe(`${process.pid}\n`);
    await store.close();
    expect(existsSync(join(folder, "owner.pid"))).toBe(false);
  });
});

describe("openSqliteStore on what is no store", () => {
  /** A store with some pages of content, closed. */
  async function makeStore(): Promise<void> {
    const store = await openSqliteStore(path);
    const writes = Array.from({ length: 500 }, (_, i) => upstreamWrite({ id: `u${i}`, name: `u${i}` }));
    await store.transact(writes, "a");
    await store.close();
  }

  /** Changes a closed store by plain SQL. */
  function edit(sql: string): void {
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
  }

  it.each([
    {
      name: "a file that is no database",
      reason: "not a database",
      make: () => writeFileSync(path, "no database".repeat(1_000)),
    },
    { name: "a folder", reason: "unable to open", make: () => mkdirSync(path) },
    {
      name: "a path through a file",
      reason: "ENOTDIR|EEXIST",
      make: () => writeFileSync(path, ""),
      below: "store.db",
    },
    {
      name: "another application's database",
      reason: "another application",
      make: () => edit("CREATE TABLE theirs (id)"),
    },
    {
      name: "a database of a newer version",
      reason: "newer version of Penstock \\(migration 9999-later\\)",
      make: async () => {
        await makeStore();
        edit("INSERT INTO schema_migrations VALUES ('9999-later', '2999-01-01T00:00:00.000Z')");
      },
    },
    {
      name: "a damaged database",
      reason: "damaged|malformed",
      make: async () => {
        await makeStore();
        const bytes = readFileSync(path);
        for (let page = 3; page < 12; page++) bytes.fill(0xa5, page * 4096, page * 4096 + 2048);
        writeFileSync(path, bytes);
      },
    },
    {
      name: "a resource of a kind it does not know",
      reason: "the stored gadget g1 cannot be decoded",
      make: async () => {
        await makeStore();
        edit("INSERT INTO resources VALUES ('gadget', 'g1', 1, x'00')");
      },
    },
  ])("refuses $name, and leaves it as it is", async ({ reason, make, below }) => {
    await make();
    const before = digest(path);
    const error = await openSqliteStore(join(path, below ?? "")).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(StoreUnusableError);
    expect((error as Error).message).toMatch(new RegExp(reason));
    expect(digest(path)).toBe(before);
  });

  /** Stands for the bytes of a file; a folder has none. */
  function digest(place: string): string {
    return statSync(place).isDirectory() ? "" : createHash("sha256").update(readFileSync(place)).digest("hex");
  }
});
