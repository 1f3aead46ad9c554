import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { OwnPkiError, readOwnPki, watchOwnPki } from "./own-pki.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "penstock-pki-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function writeFiles() {
  const authority = await makeAuthority();
  const own = await makeCertificate({ issuer: authority });
  const files = { certFile: join(folder, "c"), keyFile: join(folder, "k"), clientCaFile: join(folder, "a") };
  writeFileSync(files.certFile, own.chainPem);
  writeFileSync(files.keyFile, own.keyPem);
  writeFileSync(files.clientCaFile, authority.certPem);
  return files;
}

describe("readOwnPki", () => {
  it("says which files cannot be used, and why", async () => {
    const files = await writeFiles();
    expect(() => readOwnPki({ ...files, keyFile: "/nowhere" })).toThrow(/^the file \/nowhere cannot be read: ENOENT/);
    writeFileSync(files.keyFile, (await makeCertificate()).keyPem);
    expect(() => readOwnPki(files)).toThrow(OwnPkiError);
  });
});

describe("watchOwnPki", () => {
  it("tells of files that were replaced, and keeps to what it had while they cannot be used", async () => {
    const files = await writeFiles();
    const clock = new ManualClock();
    const told: string[] = [];
    const problems: unknown[] = [];
    const log = { info: () => {}, error: (fields: unknown) => void problems.push(fields) };
    const onChange = ({ cert }: { cert: string }) => void told.push(cert);
    const stop = watchOwnPki(readOwnPki(files), { files, clock, log, onChange });
    clock.advance(60_000);
    expect(told).toEqual([]);
    writeFileSync(files.certFile, "half");
    clock.advance(120_000);
    expect([told.length, problems.length]).toEqual([0, 1]);
    await writeFiles();
    clock.advance(60_000);
    expect(told).toEqual([readOwnPki(files).cert]);
    stop();
    expect(clock.nextDelayMs()).toBeNull();
  });
});
