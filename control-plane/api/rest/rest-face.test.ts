import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

let rig: RestRig;

beforeAll(async () => {
  rig = await startRestRig();
});
afterAll(() => rig.close());
afterEach(async () => {
  const errors = rig.errors.splice(0);
  rig.fleet.waits.length = 0;
  rig.fleet.applied = { appliedCount: 0, nodeCount: 0 };
  rig.admin.warnings = null;
  // What a test does not expect in the log fails it; one that does takes the errors out.
  expect(errors).toEqual([]);
});

const missing = "99999999-9999-4999-8999-999999999999";

describe("restFace: paths and methods", () => {
  it.each([
    { method: "GET", path: "/nope" },
    { method: "GET", path: "/Services" },
    { method: "GET", path: "//services" },
    { method: "GET", path: "/services//routes" },
    { method: "GET", path: "/targets" },
    { method: "GET", path: "/services/nope" },
    { method: "GET", path: `/routes/${missing}` },
    { method: "GET", path: "/upstreams/nope/targets" },
    { method: "POST", path: "/upstreams/nope/targets" },
    { method: "DELETE", path: "/services/nope/routes/nope" },
    { method: "DELETE", path: "/upstreams/nope/targets/a:80" },
    { method: "PUT", path: "/upstreams/nope/targets/a:80" },
    { method: "PATCH", path: "/services/nope/routes/nope" },
    { method: "POST", path: "/nope" },
  ])("answers $method $path with 404", async ({ method, path }) => {
    const reply = await rig.send(method, path, method === "POST" ? { target: "a:80" } : undefined);
    expect(reply.json).toEqual({ message: "Not found" });
    expect(reply.status).toBe(404);
  });

  it.each([
    { method: "DELETE", path: "/services", allow: "GET, HEAD, OPTIONS, POST" },
    { method: "POST", path: "/services/x", allow: "DELETE, GET, HEAD, OPTIONS, PATCH, PUT" },
    { method: "PUT", path: "/upstreams/u/targets", allow: "GET, HEAD, OPTIONS, POST" },
    { method: "POST", path: "/upstreams/u/targets/all", allow: "GET, HEAD, OPTIONS" },
    { method: "POST", path: "/plugins", allow: "GET, HEAD, OPTIONS" },
    { method: "PROPFIND", path: "/services", allow: "GET, HEAD, OPTIONS, POST" },
  ])("answers $method $path with 405", async ({ method, path, allow }) => {
    const reply = await rig.send(method, path);
    expect({ status: reply.status, json: reply.json, allow: reply.headers.allow }).toEqual({
      status: 405,
      json: { message: "Method not allowed" },
      allow,
    });
  });

  it("answers OPTIONS with what is allowed", async () => {
    const reply = await rig.send("OPTIONS", "/services");
    expect({ status: reply.status, text: reply.text, allow: reply.headers.allow }).toEqual({
      status: 204,
      text: "",
      allow: "GET, HEAD, OPTIONS, POST",
    });
  });

  it("answers HEAD as GET without the body", async () => {
    const got = await rig.send("GET", "/services");
    const head = await rig.send("HEAD", "/services");
    expect(head.text).toBe("");
    expect(head.headers["content-length"]).toBe(got.headers["content-length"]);
    expect(head.status).toBe(200);
  });

  it("takes a trailing slash, percent-encoding, UTF-8 and the absolute form", async () => {
    expect((await rig.send("PUT", "/services/%E5%86%86", { host: "h.test" })).json.name).toBe("円");
    expect((await rig.send("GET", "/services/%E5%86%86/")).status).toBe(200);
    expect((await rig.send("GET", `http://127.0.0.1:${rig.port}/services/%e5%86%86?x=1`)).json.name).toBe("円");
    expect((await rig.send("GET", `http://127.0.0.1:${rig.port}`)).json.version).toBe("3.10.0");
    expect((await rig.send("GET", "/services/")).json.data).toHaveLength(1);
    expect((await rig.send("DELETE", "/services/%E5%86%86")).status).toBe(204);
  });

  it.each(["/services/%ff", "/services/%zz"])("refuses the path %s", async (path) => {
    const reply = await rig.send("GET", path);
    expect(reply.status).toBe(400);
    expect(reply.json).toEqual({ message: "Malformed path" });
  });

  it("says on every answer who it is and how long it took", async () => {
    for (const path of ["/", "/nope", "/services"]) {
      const { headers } = await rig.send("GET", path);
      expect(headers).toMatchObject({
        server: "penstock/0.1.0",
        "x-kong-admin-latency": "0",
        "content-type": "application/json; charset=utf-8",
      });
    }
  });
});

describe("restFace: writes", () => {
  it("says the revision, who serves it and what is not acted on", async () => {
    rig.fleet.applied = { appliedCount: 2, nodeCount: 2 };
    rig.admin.warnings = [
      { field: "host", message: "円 is no upstream" },
      { field: "", message: "second" },
    ];
    const reply = await rig.send("POST", "/services", "name=w&host=h.test");
    expect(reply.status).toBe(201);
    expect(reply.headers).toMatchObject({
      "penstock-revision": String(rig.store.image.revision),
      "penstock-applied": "2/2",
      "penstock-warning": "host: %E5%86%86 is no upstream, second",
    });
    expect(rig.fleet.waits).toEqual([{ revision: rig.store.image.revision, who: "keeping-up", timeoutMs: 1000 }]);
  });

  it("waits as long as it is asked to, or not at all", async () => {
    await rig.send("PATCH", "/services/w?wait=applied&timeout=2m", "retries=1");
    expect(rig.fleet.waits).toMatchObject([{ who: "all", timeoutMs: 120_000 }]);
    const reply = await rig.send("DELETE", "/services/w?wait=none");
    expect(rig.fleet.waits).toHaveLength(1);
    expect(reply.status).toBe(204);
    expect(reply.headers["penstock-revision"]).toBe(String(rig.store.image.revision));
    expect(reply.headers).not.toHaveProperty("penstock-applied");
  });

  it.each(["wait=soon", "wait=applied&timeout=30", "timeout=3s"])("refuses ?%s and writes nothing", async (query) => {
    const { revision } = rig.store.image;
    for (const [method, path] of [
      ["POST", "/services"],
      ["PUT", "/services/x"],
      ["DELETE", "/services/x"],
    ] as const) {
      const reply = await rig.send(method, `${path}?${query}`, method === "DELETE" ? undefined : "host=h.test");
      expect(reply.status).toBe(400);
    }
    expect(rig.store.image.revision).toBe(revision);
  });

  it("answers a store that takes no writes with 503", async () => {
    rig.admin.nextProblems = [{ code: "unavailable", field: "", message: "disk full" }];
    const reply = await rig.send("POST", "/services", "host=h.test");
    expect(reply.status).toBe(503);
    expect(reply.json).toEqual({ message: "disk full" });
    expect(reply.headers["retry-after"]).toBe("1");
  });

  it("answers what it did not expect with 500, logged once", async () => {
    rig.admin.nextError = new Error("boom");
    const reply = await rig.send("POST", "/services", "host=h.test");
    expect(reply.status).toBe(500);
    expect(reply.json).toEqual({ message: "An unexpected error occurred" });
    expect(rig.errors.splice(0)).toHaveLength(1);
    rig.admin.nextError = new Error("boom");
    expect((await rig.send("GET", "/services/x")).status).toBe(500);
    expect(rig.errors.splice(0)).toHaveLength(1);
  });
});
