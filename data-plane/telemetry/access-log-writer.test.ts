import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { AccessLogWriter } from "./access-log-writer.ts";

async function open(target?: string) {
  const folder = mkdtempSync(join(tmpdir(), "penstock-access-log-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = target ?? join(folder, "access.log");
  const problems: { problem: string; lost: number }[] = [];
  const writer = await AccessLogWriter.open({
    target: path,
    onProblem: (problem, lost) => void problems.push({ problem, lost }),
  });
  return { writer, path, folder, problems };
}

function write(writer: AccessLogWriter, text: string): Promise<void> {
  return new Promise((resolve) => writer.write(Buffer.from(text), text.split("\n").length - 1, resolve));
}

describe("AccessLogWriter", () => {
  it("appends what it is given, in order, and tells when it is written", async () => {
    const { writer, path } = await open();
    const texts = Array.from({ length: 100 }, (_, i) => `${i} ${"x".repeat(i)}\n`);
    await Promise.all(texts.map((text) => write(writer, text)));
    expect(readFileSync(path, "utf8")).toBe(texts.join(""));
    const again = await AccessLogWriter.open({ target: path, onProblem: () => {} });
    await write(again, "more\n");
    expect(readFileSync(path, "utf8")).toBe(`${texts.join("")}more\n`);
    await writer.close(1_000);
    await again.close(1_000);
  });

  it("goes on in a new file after a rotation, with no line lost", async () => {
    const { writer, path } = await open();
    await write(writer, "one\n");
    renameSync(path, `${path}.1`);
    await write(writer, "two\n");
    writer.reopen();
    await write(writer, "three\n");
    await writer.close(1_000);
    expect(readFileSync(`${path}.1`, "utf8")).toBe("one\ntwo\n");
    expect(readFileSync(path, "utf8")).toBe("three\n");
  });

  it("stays with the file it has when the name cannot be opened again", async () => {
    const { writer, path, folder, problems } = await open();
    renameSync(folder, `${folder}-away`);
    onTestFinished(() => renameSync(`${folder}-away`, folder));
    writer.reopen();
    await write(writer, "one\n");
    expect(problems).toEqual([{ problem: expect.stringContaining("ENOENT"), lost: 0 }]);
    expect(readFileSync(join(`${folder}-away`, "access.log"), "utf8")).toBe("one\n");
    expect(existsSync(path)).toBe(false);
    await writer.close(1_000);
  });

  it.skipIf(!existsSync("/dev/full"))("tells how many lines a full disk lost, and goes on", async () => {
    const { writer, problems } = await open("/dev/full");
    await write(writer, "one\ntwo\n");
    await write(writer, "three\n");
    expect(problems.map(({ lost }) => lost)).toEqual([2, 1]);
    expect(problems[0]!.problem).toContain("ENOSPC");
    await writer.close(1_000);
  });

  it("rejects when the file cannot be opened", async () => {
    await expect(open(join(tmpdir(), "no such folder", "x.log"))).rejects.toThrow(/ENOENT/);
  });
});
