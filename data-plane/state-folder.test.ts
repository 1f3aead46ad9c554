import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openStateFolder, StateFolderError } from "./state-folder.ts";

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "penstock-state-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Another process that holds the folder until it is killed. */
async function otherOwner(path: string) {
  const code = `const { openStateFolder } = await import(${JSON.stringify(new URL("./state-folder.ts", import.meta.url).href)});
    openStateFolder(${JSON.stringify(path)}, null); console.log("held"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child;
}

describe("openStateFolder", () => {
  it("makes the folder for its owner alone, also where it was open to others", () => {
    const path = join(temporaryFolder(), "a/b");
    openStateFolder(path, null).close();
    expect(statSync(path).mode & 0o777).toBe(0o700);
    chmodSync(path, 0o755);
    openStateFolder(path, null).close();
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it("keeps the node's id, and takes one that is given", () => {
    const path = temporaryFolder();
    const first = openStateFolder(path, null);
    first.close();
    const second = openStateFolder(path, null);
    second.close();
    expect(second.nodeId).toBe(first.nodeId);
    const given = "0b5e1b2a-0000-4000-8000-000000000001";
    openStateFolder(path, given).close();
    const third = openStateFolder(path, null);
    third.close();
    expect(third.nodeId).toBe(given);
  });

  it("makes a new id of a file that holds none", () => {
    const path = temporaryFolder();
    writeFileSync(join(path, "node-id"), "half an i");
    const folder = openStateFolder(path, null);
    folder.close();
    expect(readFileSync(join(path, "node-id"), "utf8")).toBe(`${folder.nodeId}\n`);
  });

  it("names the process that has the folder, and has it itself once that one was killed", async () => {
    const path = temporaryFolder();
    const owner = await otherOwner(path);
    expect(() => openStateFolder(path, null)).toThrow(
      new StateFolderError(`the state folder ${path} is in use by another data plane (pid ${owner.pid})`),
    );
    owner.kill("SIGKILL");
    await once(owner, "exit");
    openStateFolder(path, null).close();
  });

  it("says why a folder cannot be used", () => {
    const path = temporaryFolder();
    writeFileSync(join(path, "file"), "");
    expect(() => openStateFolder(join(path, "file"), null)).toThrow(StateFolderError);
    expect(() => openStateFolder(join(path, "file/below"), null)).toThrow(StateFolderError);
    if (process.platform === "linux") expect(() => openStateFolder("/proc/none/below", null)).toThrow(StateFolderError);
    mkdirSync(join(path, "lock.sqlite"));
    expect(() => openStateFolder(path, null)).toThrow(/cannot lock/);
  });
});
