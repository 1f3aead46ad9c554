import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import { certificateDraft, granted } from "../../test/support/drafts.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { openAdmin } from "./admin.ts";
import { startTicketKeyRotation } from "./rotate-ticket-key.ts";

const hourMs = 60 * 60 * 1_000;
const rotationMs = 12 * hourMs;

let pair: TestCertificate;
beforeAll(async () => {
  pair = await makeCertificate({ notBefore: new Date(0) });
});

let store: MemoryStore;
let clock: ManualClock;
let errors: unknown[];
beforeEach(() => {
  store = new MemoryStore();
  clock = new ManualClock();
  errors = [];
});

const log = { error: (...entry: unknown[]) => void errors.push(entry) };
const start = () => startTicketKeyRotation({ store, clock, rotationMs, log: log as never });
const createCertificate = async () => {
  const admin = openAdmin(store, () => clock.unixMs());
  granted(await admin.certificate.create(certificateDraft({ cert: pair.certPem, key: pair.keyPem })));
};
const keys = () => [...store.image.all("ticket_key")].map(({ message }) => Buffer.from(message.key).toString("hex"));

/** Turns the clock on and lets the commit that this may have begun end. */
async function pass(ms: number): Promise<void> {
  clock.advance(ms);
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
}

describe("startTicketKeyRotation", () => {
  it("replaces the key each time that it is old", async () => {
    await createCertificate();
    const stop = start();
    const seen = [keys()];
    for (let i = 0; i < 3; i++) {
      await pass(rotationMs - 1);
      expect(keys()).toEqual(seen.at(-1));
      await pass(1);
      seen.push(keys());
    }
    expect(new Set(seen.flat()).size).toBe(4);
    expect(store.image.revision).toBe(4);
    stop();
    await pass(10 * rotationMs);
    expect(store.image.revision).toBe(4);
    expect(clock.nextDelayMs()).toBeNull();
  });

  it("counts from when the key was made, whoever made it", async () => {
    await createCertificate();
    clock.advance(20 * hourMs);
    // Already too old when the process starts.
    start();
    await pass(0);
    expect(store.image.revision).toBe(2);
    await pass(rotationMs - hourMs);
    await createCertificate();
    expect(store.image.revision).toBe(3);
    await pass(hourMs);
    expect(store.image.revision).toBe(4);
  });

  it("does nothing while there is no key, and begins once there is", async () => {
    start();
    await pass(rotationMs);
    expect(store.image.revision).toBe(0);
    await pass(hourMs);
    await createCertificate();
    await pass(rotationMs - hourMs);
    expect(store.image.revision).toBe(1);
    await pass(hourMs);
    expect(store.image.revision).toBe(2);
  });

  it("says when it could not, and tries again a minute later", async () => {
    await createCertificate();
    start();
    store.refuseWith = { type: "unavailable", message: "disk full" };
    await pass(rotationMs);
    expect(errors).toEqual([[{ conflict: "unavailable" }, expect.stringContaining("could not be replaced")]]);
    expect(clock.nextDelayMs()).toBe(60_000);
    store.refuseWith = null;
    await pass(60_000);
    expect(store.image.revision).toBe(2);
  });
});
