import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BodySealer } from "./body-sealer.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "penstock-sealer-"));
  path = join(folder, "keys", "secret.key");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function opened(at = path): BodySealer {
  const sealer = new BodySealer(at);
  sealer.open();
  sealer.ensureKey();
  return sealer;
}

const body = Buffer.from("the private key of a certificate");
const bytesOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

describe("BodySealer", () => {
  it("opens what it sealed, also after a restart, and seals the same in another way each time", () => {
    const sealed = opened().seal("certificate", "a", body);
    expect(bytesOf(sealed)).not.toContain("private key");
    expect(bytesOf(opened().unseal("certificate", "a", sealed))).toBe(bytesOf(body));
    expect(bytesOf(opened().seal("certificate", "a", body))).not.toBe(bytesOf(sealed));
    expect(sealed.byteLength).toBe(body.byteLength + 29);
    expect(sealed.buffer.byteLength).toBe(sealed.byteLength);
  });

  it("leaves other kinds, and deletions, as they are", () => {
    const sealer = opened();
    expect(sealer.seal("sni", "a", body)).toBe(body);
    expect(sealer.unseal("sni", "a", body)).toBe(body);
    expect(sealer.seal("certificate", "a", new Uint8Array()).byteLength).toBe(0);
  });

  it.each<[string, (sealed: Uint8Array) => [kind: "certificate" | "ticket_key", id: string, sealed: Uint8Array]]>([
    ["of another id", (sealed) => ["certificate", "b", sealed]],
    ["of another kind", (sealed) => ["ticket_key", "a", sealed]],
    ["with another bit at its end", (sealed) => ["certificate", "a", sealed.with(-1, sealed.at(-1)! ^ 1)]],
    ["with another bit in its middle", (sealed) => ["certificate", "a", sealed.with(20, sealed[20]! ^ 1)]],
    ["cut short", (sealed) => ["certificate", "a", sealed.subarray(0, 28)]],
    ["of another version", (sealed) => ["certificate", "a", sealed.with(0, 2)]],
    ["that was never sealed", () => ["certificate", "a", body]],
  ])("does not open a body %s", (_name, changed) => {
    const sealer = opened();
    const [kind, id, sealed] = changed(sealer.seal("certificate", "a", body));
    expect(() => sealer.unseal(kind, id, sealed)).toThrow(/^the sealed (certificate|ticket_key) [ab] (is|cannot be)/);
  });

  it("does not open with another key, or with none", () => {
    const sealed = opened().seal("certificate", "a", body);
    const other = opened(join(folder, "other.key"));
    expect(() => other.unseal("certificate", "a", sealed)).toThrow(/other\.key is not the one that it was sealed with/);
    const without = new BodySealer(join(folder, "none.key"));
    without.open();
    expect(() => without.unseal("certificate", "a", sealed)).toThrow(/is missing: .*none\.key$/);
  });

  it("makes a key that only its owner reads, keeps the one that is there, and tells of one that others read", () => {
    opened();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = readFileSync(path, "utf8");
    expect(text).toMatch(/^[0-9a-f]{64}\n$/);
    const sealer = new BodySealer(path);
    sealer.open();
    expect(sealer.ensureKey()).toEqual([]);
    expect(readFileSync(path, "utf8")).toBe(text);
    chmodSync(path, 0o644);
    expect(sealer.ensureKey()).toEqual([expect.stringContaining("can be read by others than its owner")]);
  });

  it.each(["", "abc", "x".repeat(64), "0".repeat(63)])("takes no file with %j for a key", (text) => {
    const at = join(folder, "bad.key");
    writeFileSync(at, text);
    expect(() => new BodySealer(at).open()).toThrow(/does not hold 64 hexadecimal digits$/);
  });

  it("says when the key's file cannot be read or made", () => {
    expect(() => new BodySealer(folder).open()).toThrow(/cannot be read: EISDIR/);
    writeFileSync(join(folder, "file"), "");
    const sealer = new BodySealer(join(folder, "file", "secret.key"));
    expect(() => sealer.ensureKey()).toThrow(/cannot be written: /);
  });
});
