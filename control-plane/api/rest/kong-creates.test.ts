import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  activeDefaults,
  routeDefaults,
  serviceDefaults,
  upstreamDefaults,
  uuid,
} from "../../../test/support/kong-expectations.ts";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

// What Kong 3.10 was seen to answer, asked of the whole way from the socket to the store and back.

let rig: RestRig;
let serviceId: string;

beforeAll(async () => {
  rig = await startRestRig();
  serviceId = (await rig.create("/services", "name=example_service&url=http%3A%2F%2Fhttpbun.com")).id;
});
afterAll(() => rig.close());

describe("Kong's creates", () => {
  it("prints a service with every default", async () => {
    const json = await rig.create("/services", {
      name: "s-json",
      url: "https://api.example.test:8443/base?x=1",
      tags: ["a", "b"],
    });
    expect(json).toEqual({
      ...serviceDefaults,
      name: "s-json",
      protocol: "https",
      host: "api.example.test",
      port: 8443,
      path: "/base",
      tags: ["a", "b"],
    });
  });

  it("prints a route with every default, below its service and at the top", async () => {
    const nested = await rig.create("/services/example_service/routes", "name=example_route&paths%5B%5D=%2Fmock");
    expect(nested).toEqual({ ...routeDefaults, name: "example_route", paths: ["/mock"], service: { id: serviceId } });
    const byId = await rig.create("/routes", { name: "r-id", hosts: ["a.test"], service: { id: serviceId } });
    expect(byId).toEqual({ ...routeDefaults, name: "r-id", hosts: ["a.test"], service: { id: serviceId } });
    const byName = await rig.create("/routes", { hosts: ["b.test"], service: { name: "example_service" } });
    expect(byName.service).toEqual({ id: serviceId });
    const alone = await rig.create("/routes", { name: "r-noservice", paths: ["/noservice"] });
    expect(alone).toEqual({ ...routeDefaults, name: "r-noservice", paths: ["/noservice"] });
  });

  it("prints an upstream with every default", async () => {
    const form =
      "name=up-form&healthchecks.active.healthy.interval=5&healthchecks.active.http_path=/h&algorithm=least-connections";
    const active = { ...activeDefaults, http_path: "/h", healthy: { ...activeDefaults.healthy, interval: 5 } };
    expect(await rig.create("/upstreams", form)).toEqual({
      ...upstreamDefaults,
      name: "up-form",
      algorithm: "least-connections",
      healthchecks: { ...upstreamDefaults.healthchecks, active },
    });
  });

  it("prints targets with times to the millisecond, newest first", async () => {
    const json = await rig.create("/upstreams/up-form/targets", {
      target: "svc.test:81",
      weight: 50,
      tags: ["tt"],
      upstream: null,
    });
    expect(json).toEqual({
      id: uuid,
      created_at: 1_717_000_000.123,
      updated_at: 1_717_000_000.123,
      target: "svc.test:81",
      weight: 50,
      tags: ["tt"],
      upstream: { id: expect.any(String) },
      failover: null,
      priority: null,
      zone: null,
      max_in_flight: null,
    });
    const ipv6 = await rig.create("/upstreams/up-form/targets", { target: "[::1]:81" });
    expect(ipv6).toMatchObject({ target: "[0000:0000:0000:0000:0000:0000:0000:0001]:81", weight: 100, tags: null });
    const found = await rig.send("GET", "/upstreams/up-form/targets/svc.test:81");
    expect(found.json.id).toBe(json.id);
    for (const path of ["/upstreams/up-form/targets", "/upstreams/up-form/targets/all"]) {
      expect((await rig.send("GET", path)).json.data).toHaveLength(2);
    }
  });

  it("takes what Kong Manager sends", async () => {
    const upstream = {
      name: "gui",
      healthchecks: { threshold: 0, active: { headers: {} } },
      host_header: null,
      tags: [],
    };
    const { id } = await rig.create("/upstreams", upstream);
    await rig.create(`/upstreams/${id}/targets`, { target: "gui.test:80", weight: 100, tags: [], upstream: { id } });
    const service = {
      url: "http://gui.test/x",
      port: 80,
      name: "gui",
      host: null,
      path: null,
      client_certificate: null,
      tags: [],
    };
    expect(await rig.create("/services", service)).toMatchObject({ host: "gui.test", path: "/x", tags: null });
  });
});
