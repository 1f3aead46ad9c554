import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { startSyncHub } from "../../control-plane/sync/sync-hub.ts";
import type { ReceivedSnapshot } from "../../data-plane/snapshot/apply-snapshot.ts";
import { startSyncClient } from "../../data-plane/sync/sync-client.ts";
import { adminOk } from "../support/admin-client.ts";
import { FakeSyncStore } from "../support/fake-sync-store.ts";
import { probePair } from "../support/pair-probe.ts";
import {
  appliedRevision,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
} from "../support/penstock-processes.ts";
import { openSlowLink } from "../support/slow-link.ts";

const contentOf = (entities: Iterable<{ readonly id: string; readonly body: Uint8Array }>) =>
  [...entities].map(({ id, body }) => `${id} ${Buffer.from(body).toString("hex")}`).sort();

/** What is sent is ordered by id. */
const idOf = (place: number) => `${String(place).padStart(8, "0")}-0000-4000-8000-000000000000`;
const fillers = Array.from({ length: 40 }, (_, i) => `filler-${i}`);

/** Services of which the first and the last have routes; those between are bulk. Each write is a publication. */
async function createServices(adminUrl: string, targetPort: number) {
  const write = (method: string, path: string, body: Record<string, unknown>) =>
    adminOk(adminUrl, method, `${path}?wait=none`, body);
  for (const [place, name] of ["first", ...fillers, "last"].entries()) {
    const at = { host: "127.0.0.1", port: targetPort, path: "/v0" };
    await write("POST", "/services", { id: idOf(place), name, ...at });
  }
  for (const name of ["first", "last"]) await write("POST", `/services/${name}/routes`, { name, paths: [`/${name}`] });
  const revision = async () => (await adminOk(adminUrl, "GET", "/status")).body.revision as number;
  return {
    revision,
    /** The first, then 200 KB, then the last. @returns the revision */
    async writeVersion(version: number): Promise<number> {
      await write("PATCH", "/services/first", { path: `/v${version}` });
      for (const name of fillers) {
        const tags = Array.from({ length: 5 }, () => randomBytes(750).toString("base64url"));
        await write("PATCH", `/services/${name}`, { tags });
      }
      await write("PATCH", "/services/last", { path: `/v${version}` });
      return revision();
    },
  };
}

describe("row 4: a control plane behind a slow link", () => {
  it("has its nodes late, and never with part of one publication and part of another", async () => {
    const log = pino({ level: "silent" });
    const store = new FakeSyncStore();
    const contents = new Map<number, string[]>();
    const put = (name: string, tag: string) => {
      const revision = store.putUpstream(name, { tags: [tag, "x".repeat(500)] });
      contents.set(revision, contentOf(store.image.all("upstream")));
      return revision;
    };
    for (let i = 0; i < 40; i++) put(`u${i}`, "first");
    const hub = await startSyncHub({ store, listen: [{ host: "127.0.0.1", port: 0 }], log, closeGraceMs: 50 });
    onTestFinished(() => hub.close());
    const link = await openSlowLink(`127.0.0.1:${hub.addresses[0]!.port}`, { delayMs: 20, bytesPerSecond: 100_000 });
    const applied: ReceivedSnapshot[] = [];
    const refusals: unknown[] = [];
    let changes = 0;
    const client = startSyncClient({
      controlPlanes: [link],
      hello: { nodeId: "n1", hostname: "h", build: "b", capabilities: ["delta.v1"], labels: {}, workerCount: 1 },
      holding: () => applied.at(-1) ?? null,
      apply: async (snapshot) => {
        applied.push(snapshot);
        return { ok: true };
      },
      onState: ({ lastRefusal, connection }) => {
        if (lastRefusal !== null) refusals.push(lastRefusal);
        if (connection === "waiting") changes = Number.NaN;
      },
      log,
    });
    onTestFinished(() => client.close());
    // Changes go on while what was there before is still on its way.
    while (changes < 60) {
      put(`u${changes % 40}`, `change ${changes}`);
      changes++;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const revision = put("last", "last");
    await hub.fleet.waitForRevision(revision, { who: "all", timeoutMs: 20_000 });
    expect(changes).toBe(60);
    expect(refusals).toEqual([]);
    expect(applied.at(-1)?.publication).toBe(revision);
    expect(applied.length).toBeGreaterThan(1);
    expect(applied.length).toBeLessThan(60);
    for (const { publication, entities } of applied) expect(contentOf(entities)).toEqual(contents.get(publication));
  });

  it("has real data planes late, by 200 ms and 10 KB/s, and no client sees parts of two publications", {
    timeout: 180_000,
  }, async () => {
    const target = await startEchoTargetProcess("t1");
    const { adminUrl, syncAddress } = await startControlPlane();
    const services = await createServices(adminUrl, target.port);
    const dataPlane = await startDataPlane(await openSlowLink(syncAddress, { delayMs: 200, bytesPerSecond: 10_000 }));
    await appliedRevision(dataPlane, await services.revision());
    const pair = probePair(dataPlane.proxyPort, "/first/x", "/last/x");
    const wasSeen = (version: number) =>
      pair.meanwhile(vi.waitFor(() => expect(pair.seen.get(version) ?? 0).toBeGreaterThan(0), { timeout: 10_000 }));
    await wasSeen(0);
    let version = 0;
    let awaited = 0;
    for (let batch = 0; batch < 2; batch++) {
      // Several at once: what is next is far from what is served, so that a mix of the two cannot pass for either.
      let revision = 0;
      for (let i = 0; i < 5; i++) revision = await services.writeVersion(++version);
      // While it is on its way the next ones are written.
      await pair.meanwhile(appliedRevision(dataPlane, awaited));
      awaited = revision;
    }
    await pair.meanwhile(appliedRevision(dataPlane, awaited));
    await wasSeen(version);
    expect(pair.connectionCount).toBe(1);
    // It comes over one stream, however long it takes.
    const connected = dataPlane.lines.filter((line) => line.includes('"msg":"connected to the control plane"'));
    expect(connected).toHaveLength(1);
    // At the beginning, one for each batch at least, and not each version by itself.
    expect(pair.seen.size).toBeGreaterThanOrEqual(3);
    expect(pair.seen.size).toBeLessThan(version);
  });
});
