import { describe, expect, it, onTestFinished } from "vitest";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { HARD_LIMITS } from "../../proto/hard-limits.ts";
import type { HashedEntity } from "../../proto/state-hash.ts";
import { startDataPlane, startEchoTargetProcess } from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { startRequestLoad } from "../support/request-load.ts";
import { entity, startScriptedSyncServer } from "../support/scripted-sync-server.ts";

const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

function goodState(targetPort: number, path = "/good"): HashedEntity[] {
  return [
    entity("service", {
      id: id(1),
      name: "s",
      protocol: Protocol.HTTP,
      host: "127.0.0.1",
      port: targetPort,
      retries: 5,
      connectTimeout: { seconds: 60n },
      writeTimeout: { seconds: 60n },
      readTimeout: { seconds: 60n },
      enabled: true,
    }),
    entity("route", {
      id: id(2),
      name: "good",
      protocols: [Protocol.HTTP],
      paths: [path],
      stripPath: true,
      service: { id: id(1) },
    }),
  ];
}

const badRoute = (fields: object): HashedEntity =>
  entity("route", {
    id: id(9),
    name: "bad",
    protocols: [Protocol.HTTP],
    paths: ["/bad"],
    service: { id: id(1) },
    ...fields,
  });

describe("row 18: a snapshot that cannot be served", () => {
  it("is refused whole with entity and field while traffic goes on, and spoils nothing after it", async () => {
    const controlPlane = await startScriptedSyncServer();
    onTestFinished(() => controlPlane.close());
    const dataPlane = await startDataPlane(controlPlane.address, { workers: 2 });
    const target = await startEchoTargetProcess("t1");
    const hello = await controlPlane.nextMessage("hello");
    expect(hello.workerCount).toBe(2);

    controlPlane.sendSnapshot(goodState(target.port), { publication: 1 });
    expect((await controlPlane.nextMessage("ack")).publication).toBe(1n);
    expect((await getFresh(dataPlane.proxyPort, "/good/x")).status).toBe(200);
    const load = startRequestLoad({
      port: dataPlane.proxyPort,
      path: "/good/x",
      requestsPerSecond: 300,
      connectionCount: 8,
    });

    const bad: { entities: HashedEntity[]; kind: string; field: RegExp }[] = [
      { entities: [badRoute({ paths: ["~/("] })], kind: "route", field: /^paths/ },
      { entities: [badRoute({ service: { id: id(77) } })], kind: "route", field: /^service/ },
      { entities: [badRoute({ protocols: [99 as Protocol] })], kind: "route", field: /^protocols/ },
      {
        entities: [entity("target", { id: id(10), target: "a:1", weight: 1, upstream: { id: id(78) } })],
        kind: "target",
        field: /^upstream/,
      },
      { entities: [{ kind: "route", id: id(11), body: Buffer.from("ffffff", "hex") }], kind: "route", field: /.*/ },
      { entities: [{ kind: "planet", id: id(12), body: Buffer.alloc(0) }], kind: "planet", field: /.*/ },
    ];
    let publication = 1;
    for (const { entities, kind, field } of bad) {
      controlPlane.sendSnapshot([...goodState(target.port), ...entities], { publication: ++publication });
      const nack = await controlPlane.nextMessage("nack");
      expect(nack.publication).toBe(BigInt(publication));
      expect(nack.entityKind).toBe(kind);
      expect(nack.entityId).toBe(entities[0]!.id);
      expect(nack.field).toMatch(field);
      expect(nack.message).not.toBe("");
      expect(nack.keptPublication).toBe(1n);
    }

    // Bytes that changed on the way are noticed by the hash, before anything is built of them.
    controlPlane.sendSnapshot(goodState(target.port), {
      publication: ++publication,
      begin: { stateHash: Buffer.alloc(32, 1) },
    });
    expect((await controlPlane.nextMessage("nack")).reason).toMatch(/hash/);

    await load.finished(load.outcome.ok + 100);
    const outcome = await load.stop();
    expect(outcome.failures).toEqual([]);
    expect(outcome.connections).toBeLessThanOrEqual(8);
    expect((await getFresh(dataPlane.proxyPort, "/bad/x")).status).toBe(404);

    controlPlane.sendSnapshot(goodState(target.port, "/better"), { publication: ++publication });
    expect((await controlPlane.nextMessage("ack")).publication).toBe(BigInt(publication));
    expect((await getFresh(dataPlane.proxyPort, "/better/x")).status).toBe(200);
    expect((await getFresh(dataPlane.proxyPort, "/good/x")).status).toBe(404);
  });

  it("is refused where it has more than a control plane would let in, and what was served before goes on", async () => {
    const controlPlane = await startScriptedSyncServer();
    onTestFinished(() => controlPlane.close());
    const dataPlane = await startDataPlane(controlPlane.address, { workers: 2 });
    const target = await startEchoTargetProcess("t1");
    await controlPlane.nextMessage("hello");
    controlPlane.sendSnapshot(goodState(target.port), { publication: 1 });
    expect((await controlPlane.nextMessage("ack")).publication).toBe(1n);

    const twice = (limit: number) => Array.from({ length: 2 * limit }, (_, i) => i);
    const upstream = entity("upstream", { id: id(20), name: "u" });
    const targets = twice(HARD_LIMITS.targetsPerUpstreamMax).map((i) =>
      entity("target", { id: id(100_000 + i), target: `a:${1 + i}`, weight: 1, upstream: { id: id(20) } }),
    );
    /** Counted before anything is read of them. */
    const tooManyOf = (kind: string, limit: number) => {
      const entities = twice(limit).map((i) => ({ kind, id: id(100_000 + i), body: Buffer.alloc(0) }));
      const first = limit - goodState(target.port).filter((one) => one.kind === kind).length;
      return { sent: { entities, options: {} }, want: { entityKind: kind, entityId: entities[first]!.id, field: "" } };
    };
    const excessive = [
      {
        sent: { entities: [upstream, ...targets], options: {} },
        want: { entityKind: "target", entityId: targets[HARD_LIMITS.targetsPerUpstreamMax]!.id, field: "upstream" },
      },
      tooManyOf("upstream", HARD_LIMITS.upstreamsMax),
      tooManyOf("certificate", HARD_LIMITS.certificatesMax),
      tooManyOf("service", HARD_LIMITS.servicesMax),
      tooManyOf("route", HARD_LIMITS.routesMax),
      {
        sent: { entities: [], options: { begin: { byteCount: BigInt(2 * HARD_LIMITS.bodyBytesMax) } } },
        want: { entityKind: "", entityId: "", field: "" },
      },
    ];
    let publication = 1;
    for (const { sent, want } of excessive) {
      const options = { publication: ++publication, ...sent.options };
      controlPlane.sendSnapshot([...goodState(target.port, "/excess"), ...sent.entities], options);
      const nack = await controlPlane.nextMessage("nack");
      expect(nack).toMatchObject({ publication: BigInt(publication), keptPublication: 1n, reason: "limit_exceeded" });
      expect(nack).toMatchObject(want);
      expect(nack.message).toContain("this node takes no more");
      expect((await getFresh(dataPlane.proxyPort, "/good/x")).status).toBe(200);
      expect((await getFresh(dataPlane.proxyPort, "/excess/x")).status).toBe(404);
    }
  });
});
