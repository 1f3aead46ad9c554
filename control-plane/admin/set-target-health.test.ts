import { timestampMs } from "@bufbuild/protobuf/wkt";
import { beforeEach, describe, expect, it } from "vitest";
import { granted, targetDraft, upstreamDraft } from "../../test/support/drafts.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { openAdmin } from "./admin.ts";
import { startOverrideExpiry } from "./expire-overrides.ts";
import type { Admin, HealthDecision } from "./resource-admin.ts";

let store: MemoryStore;
let clock: ManualClock;
let admin: Admin;

beforeEach(async () => {
  store = new MemoryStore();
  clock = new ManualClock();
  admin = openAdmin(store, () => clock.unixMs());
  granted(await admin.upstream.create(upstreamDraft({ name: "u" })));
  for (const target of ["a.test:80", "b.test:80"]) granted(await admin.target.create(targetDraft({ target }), "u"));
});

const decide = (decision: Partial<HealthDecision>) =>
  admin.setTargetHealth({
    upstream: "u",
    target: "a.test:80",
    address: "",
    isHealthy: false,
    expiresInMs: null,
    ...decision,
  });

/** What is stored: address, decision, and the time of it since the test began. */
const stored = () =>
  [...store.image.all("health_override")]
    .map(({ message }) => [message.address, message.healthy, timestampMs(message.decidedAt!) - startMs])
    .sort();
const startMs = new ManualClock().unixMs();

describe("setTargetHealth", () => {
  it("keeps one decision for a target, the newest, and says when it ends", async () => {
    const first = granted(await decide({ expiresInMs: 60_000 }));
    expect(first).toEqual({ revision: store.image.revision, expiresAtUnixMs: startMs + 60_000 });
    const [before] = store.image.all("health_override");
    clock.advance(5);
    expect(granted(await decide({ isHealthy: true })).expiresAtUnixMs).toBeNull();
    expect(stored()).toEqual([["", true, 5]]);
    const [after] = store.image.all("health_override");
    expect([after?.id, after?.message.expiresAt]).toEqual([before?.id, undefined]);
  });

  it("makes each decision newer than the one before, also under a clock that stands still", async () => {
    for (const isHealthy of [false, true, false]) granted(await decide({ isHealthy }));
    expect(stored()).toEqual([["", false, 2]]);
    granted(await decide({ address: "127.0.0.1:80" }));
    expect(stored()).toEqual([
      ["", false, 2],
      ["127.0.0.1:80", false, 3],
    ]);
  });

  it("keeps those of addresses apart, in one spelling, until the whole target is decided of", async () => {
    granted(await decide({ address: "[0:0:0:0:0:0:0:1]:80" }));
    granted(await decide({ address: "[::1]:80", isHealthy: true }));
    granted(await decide({ address: "127.0.0.1:80" }));
    granted(await decide({ target: "b.test:80" }));
    expect(stored().map(([address, isHealthy]) => [address, isHealthy])).toEqual([
      ["", false],
      ["127.0.0.1:80", false],
      ["[::1]:80", true],
    ]);
    const { revision } = granted(await decide({ isHealthy: true }));
    expect(revision).toBe(store.image.revision);
    expect(stored().map(([address, isHealthy]) => [address, isHealthy])).toEqual([
      ["", false],
      ["", true],
    ]);
  });

  it.each([
    { name: "an upstream that is not there", decision: { upstream: "x" }, want: "not_found : Not found" },
    { name: "a target that is not there", decision: { target: "c.test:80" }, want: "not_found : Not found" },
    {
      name: "an address without a port",
      decision: { address: "127.0.0.1" },
      want: "invalid address: invalid address '127.0.0.1': expected ip:port, an IPv6 address in brackets",
    },
    {
      name: "an address that is a name",
      decision: { address: "a.test:80" },
      want: "invalid address: invalid address 'a.test:80': expected ip:port, an IPv6 address in brackets",
    },
  ])("refuses $name", async ({ decision, want }) => {
    const refused = await decide(decision);
    expect(
      refused.ok ? [] : refused.problems.map(({ code, field, message }) => `${code} ${field}: ${message}`),
    ).toEqual([want]);
    expect(stored()).toEqual([]);
  });

  it("refuses more addresses than a target may have", async () => {
    for (let i = 0; i < 1_000; i++) granted(await decide({ address: `10.0.${i >> 8}.${i & 255}:80` }));
    expect((await decide({ address: "10.1.0.0:80" })).ok).toBe(false);
    granted(await decide({ address: "10.0.0.0:80", isHealthy: true }));
    granted(await decide({}));
    expect(stored()).toHaveLength(1);
  });

  it("decides anew when another decision comes in between", async () => {
    store.beforeTransact = () => {
      store.beforeTransact = null;
      const target = [...store.image.all("target")].find(({ message }) => message.target === "a.test:80")!;
      store.transactNow([
        {
          kind: "health_override",
          id: "00000000-0000-4000-8000-00000000000a",
          operation: "create",
          body: new Uint8Array(),
          expectedRevision: null,
          uniqueKeys: [`address:${target.id}:`],
          references: [{ kind: "target", id: target.id }],
        },
      ]);
    };
    granted(await decide({}));
    expect([...store.image.all("health_override")].map(({ id }) => id)).toEqual([
      "00000000-0000-4000-8000-00000000000a",
    ]);
  });

  it.each([
    { name: "its target", remove: () => admin.target.remove({ key: "a.test:80", parent: "u" }) },
    { name: "the upstream of its target", remove: () => admin.upstream.remove({ key: "u" }) },
  ])("goes with $name", async ({ remove }) => {
    granted(await decide({}));
    granted(await decide({ address: "127.0.0.1:80" }));
    granted(await remove());
    expect(stored()).toEqual([]);
  });
});

describe("startOverrideExpiry", () => {
  const errors: unknown[] = [];
  const start = () =>
    startOverrideExpiry({ store, clock, log: { error: (...entry: unknown[]) => void errors.push(entry) } as never });

  /** Turns the clock on and lets the commit that this may have begun end. */
  async function pass(ms: number): Promise<void> {
    clock.advance(ms);
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
  }

  it("deletes each decision at its time, and leaves those without one", async () => {
    const stop = start();
    granted(await decide({ expiresInMs: 60_000 }));
    granted(await decide({ address: "127.0.0.1:80", expiresInMs: 30_000 }));
    granted(await decide({ target: "b.test:80" }));
    await pass(29_999);
    expect(stored()).toHaveLength(3);
    await pass(1);
    expect(stored().map(([address]) => address)).toEqual(["", ""]);
    await pass(30_000);
    expect(stored()).toHaveLength(1);
    stop();
  });

  it("deletes at its start what expired while nobody ran", async () => {
    granted(await decide({ expiresInMs: 1_000 }));
    clock.advance(60_000);
    const stop = start();
    await pass(0);
    expect(stored()).toEqual([]);
    stop();
  });

  it("leaves one that is decided anew in the moment of its end", async () => {
    const stop = start();
    granted(await decide({ expiresInMs: 1_000 }));
    store.beforeTransact = () => {
      store.beforeTransact = null;
      const [own] = store.image.all("health_override");
      const message = { ...own!, expectedRevision: null, operation: "update" as const, uniqueKeys: [], references: [] };
      store.transactNow([message]);
    };
    await pass(1_000);
    expect(stored()).toHaveLength(1);
    await pass(1_000);
    expect(stored()).toEqual([]);
    stop();
  });

  it("tries again when the store cannot take it, and says so", async () => {
    const stop = start();
    granted(await decide({ expiresInMs: 1_000 }));
    store.refuseWith = { type: "unavailable", message: "disk full" };
    await pass(1_000);
    expect([stored().length, errors.length]).toEqual([1, 1]);
    store.refuseWith = null;
    await pass(1_000);
    expect(stored()).toEqual([]);
    stop();
    expect(clock.nextDelayMs()).toBeNull();
  });
});
