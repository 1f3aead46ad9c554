import { once } from "node:events";
import { connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../../proto/gen/grpc/health/v1/health_pb.ts";
import { ConfigAPI } from "../../../proto/gen/penstock/admin/v1/config_pb.ts";
import { NodeState, NodesAPI } from "../../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { RoutesAPI } from "../../../proto/gen/penstock/admin/v1/routes_pb.ts";
import { ServicesAPI } from "../../../proto/gen/penstock/admin/v1/services_pb.ts";
import { TargetsAPI } from "../../../proto/gen/penstock/admin/v1/targets_pb.ts";
import {
  CreateUpstreamRequestSchema,
  CreateUpstreamResponseSchema,
  UpstreamsAPI,
} from "../../../proto/gen/penstock/admin/v1/upstreams_pb.ts";
import { nodeStatus } from "../../../test/support/node-status.ts";
import { type RpcRig, startRpcRig } from "../../../test/support/rpc-rig.ts";

const { createUpstream, getUpstream, listUpstreams, updateUpstream, deleteUpstream } = UpstreamsAPI.method;
const { createTarget, getTarget, listTargets, updateTarget, deleteTarget } = TargetsAPI.method;
const { createService, updateService, deleteService } = ServicesAPI.method;
const { createRoute, getRoute, listRoutes, updateRoute, deleteRoute } = RoutesAPI.method;

const absentId = "00000000-0000-4000-8000-000000000000";

let rig: RpcRig;
beforeEach(async () => {
  rig = await startRpcRig();
});
afterEach(() => rig.close());

function connectJson(path: string, body: unknown, headers: Record<string, string> = {}) {
  return fetch(`http://${rig.address}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

describe("rpcFace", () => {
  it("carries an upstream with its targets from create to delete", async () => {
    const created = await rig.call(createUpstream, { upstream: { name: "u1", tags: ["t"] } });
    expect(created.upstream).toMatchObject({ name: "u1", slots: 10_000, hashOnCookiePath: "/" });
    expect(created).toMatchObject({ revision: 1n, warnings: [] });
    const target = await rig.call(createTarget, { upstream: "u1", target: { target: "a:80", weight: 0 } });
    expect(target.target).toMatchObject({ target: "a:80", weight: 0, upstream: { id: created.upstream.id } });
    const changed = await rig.call(updateTarget, { upstream: "u1", target: { target: "a:80", weight: 7 } });
    expect(changed.target).toMatchObject({ id: target.target.id, weight: 7 });
    expect(await rig.call(getTarget, { upstream: "u1", idOrTarget: "a:80" })).toMatchObject({ target: changed.target });
    expect((await rig.call(listTargets, { upstream: "u1" })).targets).toHaveLength(1);
    expect(await rig.call(deleteTarget, { upstream: "u1", idOrTarget: "a:80" })).toMatchObject({ revision: 4n });
    const read = await rig.call(getUpstream, { idOrName: "u1" });
    expect(read.upstream).toEqual(created.upstream);
    const renamed = await rig.call(updateUpstream, {
      upstream: { id: read.upstream.id, name: "u2", etag: read.upstream.etag },
    });
    expect(renamed.upstream).toMatchObject({ id: read.upstream.id, name: "u2", tags: ["t"] });
    expect(await rig.call(deleteUpstream, { idOrName: "u2" })).toMatchObject({ revision: 6n });
    expect((await rig.call(listUpstreams, {})).upstreams).toEqual([]);
  });

  it("carries a service with its route from create to delete", async () => {
    const { service } = (await rig.call(createService, { service: { name: "s1", host: "h" } })) as never as {
      service: { id: string };
    };
    const { route } = await rig.call(createRoute, { route: { name: "r1", paths: ["/a"], service: { name: "s1" } } });
    expect(route).toMatchObject({ name: "r1", stripPath: true, service: { id: service.id } });
    const changed = await rig.call(updateRoute, { route: { name: "r1", paths: ["/b"] } });
    expect(changed.route).toMatchObject({ id: route.id, paths: ["/b"], service: { id: service.id } });
    expect((await rig.call(getRoute, { idOrName: route.id })).route.etag).toBe(changed.route.etag);
    expect((await rig.call(listRoutes, { pageSize: 1 })).nextPageToken).toBe("");
    await expect(rig.call(deleteService, { idOrName: "s1" })).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      details: [
        { reason: "STILL_REFERENCED", domain: "penstock" },
        { violations: [{ type: "STILL_REFERENCED", subject: expect.stringMatching(/^penstock.config.v1.\w+\/.+/) }] },
      ],
    });
    expect(await rig.call(deleteRoute, { idOrName: "r1" })).toMatchObject({ revision: 4n });
    expect(await rig.call(deleteService, { idOrName: "s1" })).toMatchObject({ revision: 5n });
  });

  it("sets what the mask names, to null where the request has nothing", async () => {
    await rig.call(createService, { service: { name: "s1", host: "h", path: "/p", retries: 1 } });
    const { service } = await rig.call(updateService, {
      service: { name: "s1", host: "ignored" },
      updateMask: { paths: ["path", "retries"] },
    });
    expect(service.host).toBe("h");
    // Absent fields have the prototype's default, which for these is undefined.
    expect([service.path, service.retries]).toEqual([undefined, undefined]);
  });

  it("tells warnings", async () => {
    const { warnings } = await rig.call(createRoute, { route: { paths: ["/a"], requestBuffering: false } });
    expect(warnings).toMatchObject([{ field: "request_buffering", message: expect.any(String) }]);
  });

  it("tells every field violation with its path in the request", async () => {
    const failed = rig.call(createService, { service: { name: "a b", port: 70_000, connectTimeout: { nanos: 1 } } });
    const failure = await failed.catch((failure) => failure);
    expect(failure).toMatchObject({ code: Code.InvalidArgument, details: [{ reason: "INVALID" }, {}] });
    const fields = failure.details[1].fieldViolations.map(({ field }: { field: string }) => field);
    expect(new Set(fields)).toEqual(
      new Set(["service.name", "service.host", "service.port", "service.connect_timeout"]),
    );
  });

  it("tells unknown paths of a mask together with the other violations", async () => {
    await rig.call(createService, { service: { name: "s1", host: "h" } });
    const request = { service: { name: "s1", port: -1 }, updateMask: { paths: ["prot", "port", "nope"] } };
    await expect(rig.call(updateService, request)).rejects.toMatchObject({
      code: Code.InvalidArgument,
      details: [
        {},
        {
          fieldViolations: expect.arrayContaining([
            expect.objectContaining({ field: "update_mask", description: expect.stringContaining('"prot", "nope"') }),
            expect.objectContaining({ field: "service.port" }),
          ]),
        },
      ],
    });
  });

  it.each([
    { name: "an empty key", send: () => rig.call(getUpstream, { idOrName: "" }), field: "id_or_name" },
    { name: "a page that is too large", send: () => rig.call(listUpstreams, { pageSize: 1001 }), field: "page_size" },
    { name: "a page token of nobody", send: () => rig.call(listUpstreams, { pageToken: "x" }), field: "page_token" },
    { name: "no resource", send: () => rig.call(createUpstream, {}), field: "upstream" },
    {
      name: "an update of nothing in particular",
      send: () => rig.call(updateUpstream, { upstream: {} }),
      field: "upstream.id",
    },
    {
      name: "a node page token of nobody",
      send: () => rig.call(NodesAPI.method.listNodes, { pageToken: "x" }),
      field: "page_token",
    },
    {
      name: "a wait that is too long",
      send: () => rig.call(ConfigAPI.method.waitForRevision, { timeout: { seconds: 301n } }),
      field: "timeout",
    },
  ])("refuses $name", async ({ send, field }) => {
    await expect(send()).rejects.toMatchObject({
      code: Code.InvalidArgument,
      details: [{ reason: expect.stringMatching(/^INVALID/), domain: "penstock" }, { fieldViolations: [{ field }] }],
    });
  });

  it("tells all violations of a request's own fields", async () => {
    await expect(rig.call(listTargets, { pageSize: -1 })).rejects.toMatchObject({
      details: [{}, { fieldViolations: [{ field: "upstream" }, { field: "page_size" }] }],
    });
  });

  it("says what is not there, and what is there already", async () => {
    await rig.call(createUpstream, { upstream: { name: "u1" } });
    const info = (resourceName: string, type = "Upstream") => ({
      resourceType: `penstock.config.v1.${type}`,
      resourceName,
    });
    await expect(rig.call(getUpstream, { idOrName: "no" })).rejects.toMatchObject({
      code: Code.NotFound,
      details: [{ reason: "NOT_FOUND" }, info("no")],
    });
    await expect(rig.call(deleteUpstream, { idOrName: "no" })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(rig.call(createTarget, { upstream: "no", target: { target: "a:1" } })).rejects.toMatchObject({
      code: Code.NotFound,
      details: [{}, info("no")],
    });
    await expect(rig.call(createUpstream, { upstream: { name: "u1" } })).rejects.toMatchObject({
      code: Code.AlreadyExists,
      details: [{ reason: "DUPLICATE_KEY" }, info("u1")],
    });
    await expect(rig.call(createRoute, { route: { paths: ["/"], service: { id: absentId } } })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      details: [
        { reason: "DANGLING_REFERENCE" },
        { fieldViolations: [{ field: "route.service" }] },
        info(absentId, "Service"),
      ],
    });
  });

  it("refuses a write for another version of a resource", async () => {
    await rig.call(createUpstream, { upstream: { name: "u1" } });
    const stale = { code: Code.Aborted, details: [{ reason: "STALE_ETAG" }] };
    await expect(rig.call(updateUpstream, { upstream: { name: "u1", slots: 10, etag: "x" } })).rejects.toMatchObject(
      stale,
    );
    await expect(rig.call(deleteUpstream, { idOrName: "u1", etag: "x" })).rejects.toMatchObject(stale);
  });

  it("says that the store cannot take writes", async () => {
    rig.store.refuseWith = { type: "unavailable", message: "the disk is full" };
    await expect(rig.call(createUpstream, { upstream: { name: "u1" } })).rejects.toMatchObject({
      code: Code.Unavailable,
      message: expect.stringContaining("the disk is full"),
    });
  });

  it("logs a fault of ours once, and keeps it from the client", async () => {
    rig.store.transact = () => Promise.reject(new Error("secret details"));
    const failed = rig.call(createUpstream, { upstream: { name: "u1" } });
    await expect(failed).rejects.toMatchObject({ code: Code.Internal, message: "internal error" });
    expect(rig.errors).toMatchObject([
      { rpc: "penstock.admin.v1.UpstreamsAPI/CreateUpstream", err: { message: "secret details" } },
    ]);
  });

  it("waits for the nodes, for 5 s unless told otherwise", async () => {
    await rig.call(createUpstream, { upstream: { name: "u1" } });
    rig.fleet.applied = Promise.resolve({ appliedCount: 1, nodeCount: 2 });
    const { waitForRevision } = ConfigAPI.method;
    expect(await rig.call(waitForRevision, { revision: 1n })).toMatchObject({
      revision: 1n,
      appliedCount: 1,
      nodeCount: 2,
    });
    await rig.call(waitForRevision, { revision: 1n, timeout: { nanos: 250_000_000 } });
    expect(rig.fleet.waits).toMatchObject([5000, 250].map((timeoutMs) => [1, { who: "all", timeoutMs }]));
    await expect(rig.call(waitForRevision, { revision: 2n })).rejects.toMatchObject({ code: Code.OutOfRange });
  });

  it("keeps the deadline of a call", async () => {
    rig.fleet.applied = new Promise(() => {});
    const headers = { "connect-timeout-ms": "20" };
    const response = await connectJson("/penstock.admin.v1.ConfigAPI/WaitForRevision", {}, headers);
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ code: "deadline_exceeded" });
    const call = rig.call(ConfigAPI.method.waitForRevision, {}, { deadline: new Date(Date.now() + 20) });
    await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  });

  it("waits for no node any more when a wait is cancelled", async () => {
    const waiting = new Promise<AbortSignal | undefined>((resolve) => {
      rig.fleet.waitForRevision = (_revision, { signal }) => {
        resolve(signal);
        return new Promise((settle) =>
          signal?.addEventListener("abort", () => settle({ appliedCount: 0, nodeCount: 1 })),
        );
      };
    });
    const call = rig.stream(ConfigAPI.method.waitForRevision);
    call.end({ timeout: { seconds: 300n } });
    const signal = await waiting;
    await call.cancel();
    expect(signal).toBeInstanceOf(AbortSignal);
    if (signal?.aborted === false) await once(signal, "abort");
    await rig.call(listUpstreams, {});
    expect(rig.errors).toEqual([]);
  });

  it("lists nodes page by page", async () => {
    const node = { labels: { zone: "a" }, capabilities: ["x"], stateHash: new Uint8Array(32), connectedAtUnixMs: 1500 };
    const rest = { lastSeenAtUnixMs: 2500, applyDurationMs: 12, publication: 3, revision: 2, lag: 1, workerCount: 4 };
    const entity = { entityKind: "route", entityId: "", entityName: "", field: "", message: "no" };
    const nack = { publication: 4, ...entity, reason: "invalid_entity", keptPublication: 3, receivedAtUnixMs: 1000 };
    rig.fleet.statuses = ["a", "b", "c"].map((id) =>
      nodeStatus({ id, ...node, ...rest, lastNack: id === "a" ? nack : null }),
    );
    const first = await rig.call(NodesAPI.method.listNodes, { pageSize: 2 });
    expect(first.nodes).toMatchObject([
      {
        id: "a",
        connected: true,
        labels: { zone: "a" },
        connectedAt: { seconds: 1n, nanos: 500_000_000 },
        applyDuration: { nanos: 12_000_000 },
        publication: 3n,
        lag: 1n,
        lastNack: { publication: 4n, entityKind: "route", keptPublication: 3n, reason: "invalid_entity" },
        state: NodeState.IN_SYNC,
      },
      { id: "b" },
    ]);
    expect(first.nodes[1].lastNack).toBeUndefined();
    const second = await rig.call(NodesAPI.method.listNodes, { pageSize: 2, pageToken: first.nextPageToken });
    expect(second).toMatchObject({ nodes: [{ id: "c" }], nextPageToken: "" });
  });

  it("speaks Connect with JSON beside REST", async () => {
    const path = "/penstock.admin.v1.UpstreamsAPI";
    const created = await connectJson(`${path}/CreateUpstream`, { upstream: { name: "u1", slots: 20 } });
    expect(await created.json()).toMatchObject({ upstream: { name: "u1", slots: 20 }, revision: "1" });
    const update = { upstream: { name: "u1", hashOnCookiePath: "/x" }, updateMask: "slots,hashOnCookiePath" };
    const updated = (await (await connectJson(`${path}/UpdateUpstream`, update)).json()) as { upstream: object };
    expect(updated.upstream).toMatchObject({ hashOnCookiePath: "/x" });
    expect(updated.upstream).not.toHaveProperty("slots");
    const absent = await connectJson(`${path}/GetUpstream`, { idOrName: "no" });
    expect(absent.status).toBe(404);
    expect(await absent.json()).toMatchObject({
      code: "not_found",
      details: [{ type: "google.rpc.ErrorInfo" }, { type: "google.rpc.ResourceInfo" }],
    });
    expect(await (await fetch(`http://${rig.address}/upstreams`)).json()).toEqual({ face: "rest" });
  });

  it.each([
    ["broken JSON", "{", 400],
    ["an unknown field", '{"upstream":{"name":"u","slotz":1}}', 400],
    ["an array", "[]", 400],
    ["a text", '"x"', 400],
    ["a prototype", '{"__proto__":{"x":1}}', 400],
    ["11 MB", `{"upstream":{"name":"${"x".repeat(11_000_000)}"}}`, 429],
  ])("answers %s by Connect with a clear error", async (_name, body, status) => {
    const url = `http://${rig.address}/penstock.admin.v1.UpstreamsAPI/CreateUpstream`;
    const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    expect(rig.errors).toEqual([]);
  });

  it("answers an unknown content type with 415 and an unknown method with 404", async () => {
    const url = `http://${rig.address}/penstock.admin.v1.UpstreamsAPI`;
    const form = { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: "a=1" };
    expect((await fetch(`${url}/CreateUpstream`, form)).status).toBe(415);
    expect((await fetch(`${url}/Nope`, { method: "POST" })).status).toBe(404);
    const bytes = () => Buffer.alloc(0);
    const code = await new Promise((resolve) =>
      rig.client.makeUnaryRequest("/penstock.admin.v1.UpstreamsAPI/Nope", bytes, bytes, {}, (error) =>
        resolve(error?.code),
      ),
    );
    expect(code).toBe(Code.Unimplemented);
  });

  it("speaks gRPC-Web", async () => {
    const message = toBinary(
      CreateUpstreamRequestSchema,
      create(CreateUpstreamRequestSchema, { upstream: { name: "u1" } }),
    );
    const body = Buffer.alloc(5 + message.length);
    body.writeUInt32BE(message.length, 1);
    body.set(message, 5);
    const url = `http://${rig.address}/penstock.admin.v1.UpstreamsAPI/CreateUpstream`;
    const headers = { "content-type": "application/grpc-web+proto" };
    const bytes = Buffer.from(await (await fetch(url, { method: "POST", headers, body })).arrayBuffer());
    const length = bytes.readUInt32BE(1);
    const { upstream } = fromBinary(CreateUpstreamResponseSchema, bytes.subarray(5, 5 + length));
    expect(upstream).toMatchObject({ name: "u1" });
    expect(bytes.subarray(5 + length + 5).toString()).toMatch(/grpc-status: 0/);
  });

  it("takes compressed requests and refuses what they unpack to", async () => {
    const url = `http://${rig.address}/penstock.admin.v1.UpstreamsAPI/CreateUpstream`;
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    const send = (name: string) =>
      fetch(url, { method: "POST", headers, body: gzipSync(JSON.stringify({ upstream: { name } })) });
    expect((await send("u1")).status).toBe(200);
    expect((await send("x".repeat(50_000_000))).status).toBe(429);
  });

  it("survives an authority and a path that make no URL", async () => {
    const session = connect(`http://${rig.address}`);
    const stream = session.request({
      ":method": "POST",
      ":path": "/penstock.admin.v1.UpstreamsAPI/GetUpstream?%",
      ":authority": "localhost:99999",
      "content-type": "application/grpc",
    });
    stream.end();
    const [head] = await new Promise<[Record<string, unknown>]>((resolve) =>
      stream.once("response", (...args) => resolve(args as never)),
    );
    expect(head[":status"]).toBe(400);
    session.destroy();
    expect((await rig.call(listUpstreams, {})).upstreams).toEqual([]);
  });
});

describe("healthRpc", () => {
  it("serves, also for each service, and knows no other", async () => {
    for (const service of ["", "penstock.admin.v1.UpstreamsAPI", "grpc.health.v1.Health"])
      expect(await rig.call(Health.method.check, { service })).toMatchObject({ status: Status.SERVING });
    await expect(rig.call(Health.method.check, { service: "x" })).rejects.toMatchObject({ code: Code.NotFound });
  });

  it("tells those who watch that the control plane shuts down", async () => {
    const known = rig.stream(Health.method.watch);
    const unknown = rig.stream(Health.method.watch);
    known.end({ service: "" });
    unknown.end({ service: "x" });
    expect(await known.next()).toMatchObject({ status: Status.SERVING });
    expect(await unknown.next()).toMatchObject({ status: Status.SERVICE_UNKNOWN });
    rig.shutDown();
    expect(await known.next()).toMatchObject({ status: Status.NOT_SERVING });
    expect(await known.next()).toBe("end");
    expect(await unknown.next()).toBe("end");
    expect(await rig.call(Health.method.check, {})).toMatchObject({ status: Status.NOT_SERVING });
  });
});
