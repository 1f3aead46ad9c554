import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  activeDefaults,
  expectReply,
  serviceDefaults,
  upstreamDefaults,
} from "../../../test/support/kong-expectations.ts";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

// What Kong 3.10 was seen to answer, asked of the whole way from the socket to the store and back.

let rig: RestRig;
let serviceId: string;

beforeAll(async () => {
  rig = await startRestRig();
  serviceId = (await rig.create("/services", "name=example_service&url=http%3A%2F%2Fhttpbun.com")).id;
  await rig.create("/services", "name=s-json&host=h.test");
  await rig.create("/upstreams", "name=example_upstream");
  await rig.create("/upstreams/example_upstream/targets", "target=127.0.0.1:9001");
});
afterAll(() => rig.close());

describe("Kong's updates", () => {
  it("changes what a PATCH names, merges records and ignores ids and times in its body", async () => {
    await rig.create("/upstreams", "name=up-hc&healthchecks.active.unhealthy.tcp_failures=2");
    const body = { id: serviceId, created_at: 1, healthchecks: { active: { unhealthy: { http_failures: 5 } } } };
    const reply = await rig.send("PATCH", "/upstreams/up-hc", body);
    expect(reply.status).toBe(200);
    expect(reply.json.healthchecks.active.unhealthy).toMatchObject({ tcp_failures: 2, http_failures: 5 });
    expect(reply.json).toMatchObject({ created_at: 1_717_000_000 });
    expect(reply.json.id).not.toBe(serviceId);
  });

  it("takes a PATCH without body", async () => {
    const before = await rig.send("GET", "/services/example_service");
    const reply = await rig.send("PATCH", "/services/example_service");
    expect(reply.status).toBe(200);
    expect(reply.json).toEqual(before.json);
  });

  it.each([
    {
      path: "/services/example_service",
      body: { host: null },
      message: "schema violation (host: required field missing)",
    },
    {
      path: "/upstreams/example_upstream",
      body: { healthchecks: null },
      message: "schema violation (healthchecks: required field missing)",
    },
    { path: "/services/example_service", body: { zz: 1 }, message: "schema violation (zz: unknown field)" },
  ])("refuses a PATCH of $body", async ({ path, body, message }) => {
    const reply = await rig.send("PATCH", path, body);
    expect(reply.status).toBe(400);
    expect(reply.json.message).toBe(message);
  });

  it("stores an explicit null, also where there is a default, and a form's empty value", async () => {
    await rig.create("/services", "name=nulls&host=h.test&path=/p&tags[]=a");
    const patched = await rig.send("PATCH", "/services/nulls", { retries: null });
    expect(patched.json).toMatchObject({ retries: null, path: "/p" });
    const cleared = await rig.send("PATCH", "/services/nulls", "path=&tags=");
    expect(cleared.json).toMatchObject({ path: null, tags: null, retries: null });
  });

  it("answers a PATCH of what is not there with code 6", async () => {
    const reply = await rig.send("PATCH", "/services/nope", "host=h");
    expect(reply.status).toBe(404);
    expect(reply.json).toMatchObject({ code: 6, name: "not found" });
  });

  it("refuses a PATCH to a taken name", async () => {
    await rig.create("/services", "name=renamed&host=h");
    const reply = await rig.send("PATCH", "/services/renamed", { name: "example_service" });
    expect(reply.status).toBe(409);
    expect(reply.json.fields).toEqual({ name: "example_service" });
  });

  it("makes and replaces by PUT, by name and by id, with 200 both ways", async () => {
    const made = await rig.send("PUT", "/services/put-new", {
      host: "p.test",
      retries: 1,
      id: serviceId,
      name: "other",
    });
    expectReply(made, 200, { ...serviceDefaults, name: "put-new", host: "p.test", retries: 1 });
    const replaced = await rig.send("PUT", "/services/put-new", { host: "p3.test" });
    expect(replaced.json).toMatchObject({ id: made.json.id, name: "put-new", host: "p3.test", retries: 5 });
    const id = "11111111-1111-4111-8111-111111111111";
    expect((await rig.send("PUT", `/services/${id}`, { host: "p.test" })).json).toMatchObject({ id, name: null });
    expect((await rig.send("PUT", `/services/${id}`, { host: "p.test", name: "put-new" })).status).toBe(409);
    expect((await rig.send("PUT", "/upstreams/put-up", {})).json).toEqual({ ...upstreamDefaults, name: "put-up" });
  });

  it("keeps a route below its service through a nested PUT and PATCH", async () => {
    const made = await rig.send("PUT", "/services/example_service/routes/nested", { paths: ["/n"] });
    expect(made.json).toMatchObject({ name: "nested", service: { id: serviceId } });
    const patched = await rig.send("PATCH", "/services/example_service/routes/nested", { paths: ["/m"] });
    expect(patched.json).toMatchObject({ paths: ["/m"], service: { id: serviceId } });
    expectReply(await rig.send("GET", "/services/s-json/routes/nested"), 404, { message: "Not found" });
    expectReply(await rig.send("PATCH", "/services/s-json/routes/nested", {}), 404, { message: "Not found" });
    expectReply(await rig.send("DELETE", "/services/s-json/routes/nested"), 404, { message: "Not found" });
    expect((await rig.send("DELETE", "/services/example_service/routes/nested")).status).toBe(204);
  });

  it("changes a target by PUT as by PATCH, and makes none", async () => {
    const path = "/upstreams/example_upstream/targets/127.0.0.1:9001";
    await rig.send("PATCH", path, { tags: ["kept"] });
    expect((await rig.send("PUT", path, { weight: 7 })).json).toMatchObject({ weight: 7, tags: ["kept"] });
    expectReply(await rig.send("PUT", "/upstreams/example_upstream/targets/1.1.1.1:1", { target: "1.1.1.1:1" }), 404, {
      message: "Not found",
    });
  });

  it("keeps a sub-second interval when a Kong client brings back what it read", async () => {
    await rig.create("/upstreams", { name: "fast", healthchecks: { active: { healthy: { interval_ms: 500 } } } });
    const { healthy: read } = (await rig.send("GET", "/upstreams/fast")).json.healthchecks.active;
    expect(read).toMatchObject({ interval: 1, interval_ms: 500 });
    const kept = await rig.send("PUT", "/upstreams/fast", {
      healthchecks: { active: { healthy: { interval: 1, successes: 2 } } },
    });
    expect(kept.json.healthchecks.active.healthy).toMatchObject({ interval: 1, interval_ms: 500, successes: 2 });
    expect(kept.headers["penstock-warning"]).toContain("healthchecks.active.healthy.interval: kept at 500 ms");
    const changed = await rig.send("PUT", "/upstreams/fast", {
      healthchecks: { active: { healthy: { interval: 1, interval_ms: null } } },
    });
    expect(changed.json.healthchecks.active.healthy).toEqual({ ...activeDefaults.healthy, interval: 1 });
  });
});

describe("Kong's deletes", () => {
  it("refuses a service that has routes", async () => {
    await rig.create("/services", "name=used&host=h");
    await rig.create("/services/used/routes", "paths[]=/used");
    expectReply(await rig.send("DELETE", "/services/used"), 400, {
      code: 4,
      name: "foreign key violation",
      message: "an existing 'routes' entity references this 'services' entity",
      fields: { "@referenced_by": "routes" },
    });
  });

  it("deletes an upstream with its targets, and what is not there, with 204", async () => {
    await rig.create("/upstreams", "name=gone");
    await rig.create("/upstreams/gone/targets", "target=a:80");
    const deleted = await rig.send("DELETE", "/upstreams/gone");
    expect(deleted.status).toBe(204);
    expect(deleted.headers).toHaveProperty("penstock-revision");
    const again = await rig.send("DELETE", "/upstreams/gone");
    expect(again.status).toBe(204);
    expect(again.headers).not.toHaveProperty("penstock-revision");
    expectReply(await rig.send("GET", "/upstreams/gone/targets"), 404, { message: "Not found" });
  });

  it("deletes a target once", async () => {
    await rig.create("/upstreams/example_upstream/targets", "target=b:80");
    expect((await rig.send("DELETE", "/upstreams/example_upstream/targets/b:80")).status).toBe(204);
    expectReply(await rig.send("DELETE", "/upstreams/example_upstream/targets/b:80"), 404, { message: "Not found" });
  });
});
