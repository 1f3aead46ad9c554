import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { startSyncHub } from "../../control-plane/sync/sync-hub.ts";
import type { ReceivedSnapshot } from "../../data-plane/snapshot/apply-snapshot.ts";
import { startSyncClient } from "../../data-plane/sync/sync-client.ts";
import { FakeSyncStore } from "../support/fake-sync-store.ts";

const pieceBytes = 256;
const pieceEveryMs = 2;

/** Passes what comes on in small pieces, a while apart: a link of some 100 KB/s. Returns its address. */
async function openSlowLink(port: number): Promise<string> {
  const sockets = new Set<Socket>();
  const trickle = (from: Socket, to: Socket) => {
    sockets.add(from);
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
    from.on("data", (bytes) => {
      from.pause();
      let at = 0;
      const pass = () => {
        to.write(bytes.subarray(at, at + pieceBytes));
        at += pieceBytes;
        if (at < bytes.length) setTimeout(pass, pieceEveryMs);
        else from.resume();
      };
      pass();
    });
  };
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    trickle(near, far);
    trickle(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const contentOf = (entities: Iterable<{ readonly id: string; readonly body: Uint8Array }>) =>
  [...entities].map(({ id, body }) => `${id} ${Buffer.from(body).toString("hex")}`).sort();

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
    const applied: ReceivedSnapshot[] = [];
    const refusals: unknown[] = [];
    let changes = 0;
    const client = startSyncClient({
      controlPlanes: [await openSlowLink(hub.addresses[0]!.port)],
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
    expect(changes).toBe(60);
    const revision = put("last", "last");
    await hub.fleet.waitForRevision(revision, { who: "all", timeoutMs: 20_000 });
    expect(refusals).toEqual([]);
    expect(applied.at(-1)?.publication).toBe(revision);
    expect(applied.length).toBeGreaterThan(1);
    expect(applied.length).toBeLessThan(60);
    for (const { publication, entities } of applied) expect(contentOf(entities)).toEqual(contents.get(publication));
  });
});
