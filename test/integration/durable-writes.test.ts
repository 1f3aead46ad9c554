import { Agent, request } from "node:http";
import { describe, expect, it } from "vitest";
import { admin, adminOk } from "../support/admin-client.ts";
import { startControlPlane, temporaryFolder } from "../support/penstock-processes.ts";

/** A PATCH or POST over a shared keep-alive agent: fetch would open hundreds of connections. */
function send(
  agent: Agent,
  url: string,
  method: string,
  body: unknown,
): Promise<{ status: number; revision: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, agent, headers: { "content-type": "application/json" } }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          revision: Number(answer.headers["penstock-revision"]),
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(body));
  });
}

describe("acknowledged writes", () => {
  it("are all found again after kill -9 under concurrent writes, 20 rounds", async () => {
    const stateDir = temporaryFolder();
    const acknowledged = new Map<string, number>();
    for (let round = 0; round < 20; round++) {
      const controlPlane = await startControlPlane({ stateDir });
      const found = new Set<string>();
      for (let next: string | null = "/upstreams?size=1000"; next !== null; ) {
        const page = await adminOk(controlPlane.adminUrl, "GET", next);
        for (const row of page.body.data as { name: string }[]) found.add(row.name);
        next = page.body.next;
      }
      expect([...acknowledged.keys()].filter((name) => !found.has(name))).toEqual([]);

      const agent = new Agent({ keepAlive: true });
      let roundCount = 0;
      const wanted = 20 + ((round * 7) % 40);
      const writer = async (index: number): Promise<void> => {
        for (let n = 0; ; n++) {
          const name = `u-${round}-${index}-${n}.test`;
          const answer = await send(agent, `${controlPlane.adminUrl}/upstreams`, "POST", { name }).catch(() => null);
          if (answer === null) return;
          expect(answer.status).toBe(201);
          acknowledged.set(name, answer.revision);
          // Killed in the middle of the writes of the others.
          if (++roundCount === wanted) controlPlane.child.kill("SIGKILL");
        }
      };
      await Promise.all(Array.from({ length: 8 }, (_, index) => writer(index)));
      await controlPlane.ended;
      agent.destroy();
    }
    expect(new Set(acknowledged.values()).size).toBe(acknowledged.size);
    expect(acknowledged.size).toBeGreaterThanOrEqual(20 * 20);
  }, 240_000);

  it("of 10,000 concurrent PATCHes to different fields of one entity none is lost", async () => {
    const controlPlane = await startControlPlane();
    await adminOk(controlPlane.adminUrl, "POST", "/upstreams", { name: "patched" });
    const fields = ["active", "passive"].flatMap((side) => [
      `${side}.healthy.successes`,
      `${side}.unhealthy.tcp_failures`,
      `${side}.unhealthy.timeouts`,
      `${side}.unhealthy.http_failures`,
    ]);
    fields.push("active.concurrency", "active.healthy.interval", "active.unhealthy.interval", "active.timeout");
    const nest = (path: string, value: number): Record<string, unknown> =>
      path.split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Record<string, unknown>;
    const read = (entity: unknown, path: string): unknown =>
      path.split(".").reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], entity);

    const agent = new Agent({ keepAlive: true, maxSockets: 64 });
    const newest = new Map<string, { revision: number; value: number }>();
    const revisions = new Set<number>();
    await Promise.all(
      Array.from({ length: 10_000 }, async (_, n) => {
        const field = fields[n % fields.length]!;
        const value = 1 + ((n * 31) % 250);
        const answer = await send(agent, `${controlPlane.adminUrl}/upstreams/patched`, "PATCH", {
          healthchecks: nest(field, value),
        });
        expect(answer.status, answer.text).toBe(200);
        expect(read(JSON.parse(answer.text).healthchecks, field)).toBe(value);
        revisions.add(answer.revision);
        if ((newest.get(field)?.revision ?? 0) < answer.revision)
          newest.set(field, { revision: answer.revision, value });
      }),
    );
    agent.destroy();
    expect(revisions.size).toBe(10_000);
    const { body } = await admin(controlPlane.adminUrl, "GET", "/upstreams/patched");
    for (const [field, { value }] of newest) expect([field, read(body.healthchecks, field)]).toEqual([field, value]);
  }, 240_000);
});
