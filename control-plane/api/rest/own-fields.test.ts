import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

let rig: RestRig;

beforeAll(async () => {
  rig = await startRestRig();
});
afterAll(() => rig.close());

const limits = { request_body_max_bytes: 5_368_709_120, total_timeout: 1_500, allow_encoded_slashes: true };

describe("a field of our own, which Kong's clients do not know", () => {
  it("is null where nobody set it, and stored and printed as it was set", async () => {
    expect((await rig.create("/routes", { paths: ["/none"] })).limits).toBeNull();
    expect((await rig.create("/routes", { name: "set", paths: ["/set"], limits })).limits).toEqual(limits);
    expect((await rig.send("GET", "/routes/set")).json.limits).toEqual(limits);
  });

  it("of an upstream is stored and printed as it was set, durations in milliseconds", async () => {
    const { resilience, weight_basis } = await rig.create("/upstreams", { name: "plain" });
    expect([resilience, weight_basis]).toEqual([null, null]);
    const set = {
      retry: { statuses: [503], methods: ["GET", "POST"], per_try_timeout: 250, budget_ratio: 0.1 },
      outlier: { base_ejection: 750, max_ejected_percent: 33.5 },
      stall: { enabled: false },
      panic: { mode: "fail_closed", threshold: 20 },
      probe: { port: 81, status_ranges: ["200-299"], initial: "unhealthy" },
    };
    const created = await rig.create("/upstreams", { name: "own", resilience: set, weight_basis: "per_target" });
    expect(created.resilience).toMatchObject(set);
    expect(created.resilience.outlier).toEqual({
      enabled: null,
      consecutive_resets: null,
      consecutive_statuses: null,
      base_ejection: 750,
      max_ejection: null,
      max_ejected_percent: 33.5,
    });
    expect(created.weight_basis).toBe("per_target");
    // decK writes back all that it knows, which is not this.
    const replaced = await rig.send("PUT", "/upstreams/own", { slots: 500 });
    expect([replaced.json.slots, replaced.json.resilience, replaced.json.weight_basis]).toEqual([
      500,
      created.resilience,
      "per_target",
    ]);
    expect(replaced.headers["penstock-warning"]?.includes("resilience")).not.toBe(true);
    const part = await rig.send("PATCH", "/upstreams/own", { resilience: { retry: { budget_ratio: 0.3 } } });
    expect(part.json.resilience).toEqual({
      ...created.resilience,
      retry: { ...created.resilience.retry, budget_ratio: 0.3 },
    });
    const cleared = await rig.send("PUT", "/upstreams/own", { resilience: null, weight_basis: null });
    expect([cleared.json.resilience, cleared.json.weight_basis]).toEqual([null, null]);
  });

  it("of an upstream's balancing and of a target is kept by a replace of a client that does not know it", async () => {
    const balancing = {
      failover: { overflow_threshold: 50, fail_back_delay: 1_500 },
      slow_start: { window: 30_000, min_weight: 5 },
      in_flight: { max: 100, queue_size: 10, queue_timeout: 250 },
    };
    const created = await rig.create("/upstreams", { name: "balanced", balancing });
    expect(created.balancing).toMatchObject(balancing);
    const replaced = await rig.send("PUT", "/upstreams/balanced", { algorithm: "least-connections" });
    expect([replaced.json.algorithm, replaced.json.balancing]).toEqual(["least-connections", created.balancing]);
    const own = { priority: 2, zone: "eu-1a", max_in_flight: 7 };
    const path = "/upstreams/balanced/targets";
    expect(await rig.create(path, { target: "a.test:80", failover: true, ...own })).toMatchObject(own);
    // Kong's own field is one that a client of Kong has to name, or it gets its default.
    const again = await rig.send("PUT", `${path}/a.test:80`, { weight: 7, failover: null });
    expect(again.json).toMatchObject({ weight: 7, failover: null, ...own });
  });

  it("of balancing is taken from a form, and told of with everything that is wrong with it", async () => {
    const form =
      "name=form-balanced&algorithm=consistent-hashing&hash_on=path&balancing.bounded_load=1.25&balancing.zones.prefer_local=true";
    expect((await rig.create("/upstreams", form)).balancing).toMatchObject({
      bounded_load: 1.25,
      zones: { prefer_local: true, spill_threshold: null },
    });
    const reply = await rig.send("POST", "/upstreams", {
      name: "bad-balanced",
      algorithm: "sticky-sessions",
      sticky_sessions_cookie_path: "x",
      balancing: {
        failover: { fail_back_delay: -1 },
        slow_start: { min_weight: 101 },
        in_flight: { queue_size: 1, max: 0 },
        bounded_load: 1.5,
      },
    });
    expect([reply.status, reply.json.fields]).toEqual([
      400,
      {
        "@entity": ["failed conditional validation given value of field 'algorithm'"],
        sticky_sessions_cookie: "required field missing",
        sticky_sessions_cookie_path: "should start with: /",
        balancing: {
          failover: { fail_back_delay: "value should be between 0 and 86400000" },
          slow_start: { min_weight: "value should be between 0.1 and 100" },
          in_flight: {
            max: "value should be between 1 and 1000000",
            queue_timeout: "required with a queue_size above 0",
          },
          bounded_load: "can be set with the algorithm consistent-hashing only",
        },
      },
    ]);
    const target = await rig.send("POST", "/upstreams/form-balanced/targets", {
      target: "b.test:80",
      weight: 65_536,
      priority: 16,
      max_in_flight: 0,
    });
    expect([target.status, target.json.fields]).toEqual([
      400,
      {
        weight: "value should be between 0 and 65535",
        priority: "value should be between 0 and 15",
        max_in_flight: "value should be between 1 and 1000000",
      },
    ]);
  });

  it("that says which nodes get something is kept, cleared, and told of with every bad term", async () => {
    await rig.create("/upstreams", { name: "for-eu", node_selector: ["zone=eu", "zone=eu"] });
    await rig.create("/services", { name: "for-eu", host: "for-eu", node_selector: ["zone=eu", "!canary"] });
    const form = "name=for-eu&paths[]=/eu&node_selector[]=zone=eu&node_selector[]=zone=us";
    const route = await rig.create("/services/for-eu/routes", form);
    expect(route.node_selector).toEqual(["zone=eu", "zone=us"]);
    const replaced = await rig.send("PUT", "/upstreams/for-eu", { slots: 100 });
    expect(replaced.json.node_selector).toEqual(["zone=eu"]);
    const cleared = await rig.send("PATCH", "/upstreams/for-eu", { node_selector: null });
    expect(cleared.json.node_selector).toBeNull();
    for (const path of ["/upstreams/bad", "/services/bad", "/routes/bad"]) {
      const bad = { host: "a.test", paths: ["/"], node_selector: ["zone=eu", "a b", "ok", "=x"] };
      const reply = await rig.send("PUT", path, path.startsWith("/upstreams") ? { ...bad, host: undefined } : bad);
      const expected = "expected key=value, key!=value, key or !key";
      expect([reply.status, reply.json.fields.node_selector]).toEqual([
        400,
        [null, expect.stringContaining(expected), null, expect.stringContaining(expected)],
      ]);
      const never = await rig.send("PUT", path, { ...bad, node_selector: ["zone=eu", "!zone"] });
      expect(never.json.fields.node_selector).toEqual([null, "no node can match this and the terms before it"]);
    }
  });

  it("or of Kong's that has no effect is warned of", async () => {
    const reply = await rig.send("POST", "/upstreams", "name=warned&algorithm=latency&slots=500");
    expect(reply.headers["penstock-warning"]).toBe("slots: has no effect with the algorithm latency");
    const hashing = await rig.send("PATCH", "/upstreams/warned", "algorithm=consistent-hashing");
    expect(hashing.headers["penstock-warning"]).toBe("hash_on: nothing is named to be hashed: the client's address is");
    const consumer = await rig.send("PATCH", "/upstreams/warned", "hash_on=consumer");
    expect(consumer.headers["penstock-warning"]).toBe(
      "hash_on: no client is authenticated as a consumer yet: the fallback, else the client's address is hashed",
    );
  });

  it("names every field of it that is wrong", async () => {
    const bad = {
      retry: { statuses: [404, 450], methods: ["get"], per_try_timeout: 0 },
      probe: { status_ranges: ["200-399", "all"], port: 70_000, initial: "perhaps" },
      panic: { threshold: 101 },
    };
    const reply = await rig.send("POST", "/upstreams", {
      name: "bad",
      resilience: bad,
      healthchecks: { threshold: 101, active: { http_path: "status", unhealthy: { http_failures: 256 } } },
    });
    expect([reply.status, reply.json.fields]).toEqual([
      400,
      {
        healthchecks: {
          threshold: "value should be between 0 and 100",
          active: {
            http_path: "should start with: /",
            unhealthy: { http_failures: "value should be between 0 and 255" },
          },
        },
        resilience: {
          retry: {
            statuses: ["value should be between 429 and 599", "expected 429 or a status from 500 to 599"],
            methods: ["invalid value: get (expected an HTTP method in upper case, such as GET)"],
            per_try_timeout: "value should be between 1 and 2147483646",
          },
          probe: {
            status_ranges: [
              null,
              "invalid status range: 'all' (expected a status or two from 100 to 999, such as 204 or 200-399)",
            ],
            port: "value should be between 1 and 65535",
            initial: "expected one of: healthy, unhealthy",
          },
          panic: { threshold: "value should be between 0 and 100" },
        },
      },
    ]);
  });

  it("is taken from a form", async () => {
    const form = "name=form&paths[]=/form&limits.total_timeout=250&limits.request_body_max_bytes=0";
    const want = { request_body_max_bytes: 0, total_timeout: 250, allow_encoded_slashes: null };
    expect((await rig.create("/routes", form)).limits).toEqual(want);
  });

  it.each([
    ["a replace that does not name it", "PUT", {}, limits],
    ["an update that does not name it", "PATCH", {}, limits],
    ["a replace with null", "PUT", { limits: null }, null],
    ["an update with null", "PATCH", { limits: null }, null],
    [
      "a replace that names a part of it",
      "PUT",
      { limits: { total_timeout: 7 } },
      { request_body_max_bytes: null, total_timeout: 7, allow_encoded_slashes: null },
    ],
    ["an update that names a part of it", "PATCH", { limits: { total_timeout: 7 } }, { ...limits, total_timeout: 7 }],
    ["a replace with nulls in all of it", "PUT", { limits: { total_timeout: null } }, null],
  ])("after %s", async (_, method, body, want) => {
    await rig.send("PUT", "/routes/kept", { paths: ["/before"], limits });
    const reply = await rig.send(method, "/routes/kept", { paths: ["/after"], ...body });
    expect([reply.status, reply.json.paths, reply.json.limits]).toEqual([200, ["/after"], want]);
    expect((await rig.send("GET", "/routes/kept")).json.limits).toEqual(want);
    expect(reply.headers["penstock-warning"]).toBeUndefined();
  });

  it.each([
    [{ total_timeout: 0 }, { total_timeout: "value should be between 1 and 2147483646" }],
    [{ total_timeout: 1.5 }, { total_timeout: "expected an integer" }],
    [{ request_body_max_bytes: -1 }, { request_body_max_bytes: "value should be between 0 and 9007199254740991" }],
    [{ request_body_max_bytes: 2 ** 60 }, { request_body_max_bytes: "value should be between 0 and 9007199254740991" }],
    [{ request_body_max_bytes: "much" }, { request_body_max_bytes: "expected an integer" }],
    [{ allow_encoded_slashes: 1 }, { allow_encoded_slashes: "expected a boolean" }],
    [{ other: 1 }, { other: "unknown field" }],
  ])("refuses %j", async (bad, fields) => {
    const reply = await rig.send("POST", "/routes", { paths: ["/x"], limits: bad });
    expect([reply.status, reply.json.fields]).toEqual([400, { limits: fields }]);
  });
});
