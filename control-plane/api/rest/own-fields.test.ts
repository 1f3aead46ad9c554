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
