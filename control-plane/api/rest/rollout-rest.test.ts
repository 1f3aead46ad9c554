import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

let rig: RestRig;
beforeEach(async () => {
  rig = await startRestRig();
});
afterEach(() => rig.close());

describe("rolloutRoutes", () => {
  it("shows that nothing was rolled out, and that changes go to all at once", async () => {
    expect((await rig.send("GET", "/rollout")).json).toMatchObject({ number: 0, phase: "none", stage: null });
    expect((await rig.send("GET", "/rollout/policy")).json).toEqual({
      mode: "immediate",
      stages: [{ node_count: 1 }, { percent: 10 }],
      soak: "60s",
      apply_timeout: "120s",
      error_share_tolerance: 0.01,
      request_min_count: 50,
    });
  });

  it("sets the policy, and gives it what it leaves out", async () => {
    const set = await rig.send("PUT", "/rollout/policy", { mode: "staged", stages: [{ percent: 5 }], soak: "1500ms" });
    expect(set.status).toBe(200);
    expect(set.json).toMatchObject({ mode: "staged", stages: [{ percent: 5 }], soak: "1500ms", apply_timeout: "120s" });
    expect((await rig.send("GET", "/rollout/policy")).json).toEqual(set.json);
  });

  it("refuses a policy with everything that is wrong", async () => {
    const refused = await rig.send("PUT", "/rollout/policy", {
      mode: "slow",
      stages: [{ percent: "ten" }, { nodes: 1 }],
      soak: "long",
      error_share_tolerance: "much",
      request_min_count: 1.5,
      color: "red",
    });
    expect(refused.status).toBe(400);
    expect(Object.keys(refused.json.fields).sort()).toEqual(
      ["color", "error_share_tolerance", "mode", "request_min_count", "soak", "stages.0", "stages.1"].sort(),
    );
    const outOfRange = await rig.send("PUT", "/rollout/policy", { mode: "staged", stages: [{ percent: 101 }] });
    expect(outOfRange.json.fields).toEqual({ "stages.0.percent": "expected a number from 0 to 100" });
  });

  it.each([
    ...[0.3, -5, 60, null, true, ["1s"], {}, "", "0.3s", "1.5s", "-1s", "1e3ms", "99999999999s"],
    ...["99ms", "8d", "999999999d"],
  ])("refuses a time of %j", async (time) => {
    const refused = await rig.send("PUT", "/rollout/policy", { soak: time, apply_timeout: time });
    expect([refused.status, Object.keys(refused.json.fields).sort()]).toEqual([400, ["apply_timeout", "soak"]]);
    for (const problem of Object.values(refused.json.fields)) expect(problem).toMatch(/^expected a time /);
  });

  it.each(["pause", "resume", "promote", "abort"])("answers 409 where there is nothing to %s", async (what) => {
    expect((await rig.send("POST", `/rollout/${what}`)).status).toBe(409);
  });

  it("has a write go stage by stage that says so, by header or query, and gives it to all on demand", async () => {
    const staged = { "Penstock-Rollout": "staged" };
    await rig.send("POST", "/upstreams", { name: "u1" }, { ...staged, "content-type": "application/json" });
    expect((await rig.send("GET", "/rollout")).json.waiting_from_revision).toBeGreaterThan(0);
    await rig.send("POST", "/upstreams?rollout=staged", { name: "u2" });
    expect((await rig.send("POST", "/rollout/promote")).json).toMatchObject({
      phase: "done",
      reason: "promoted by a person",
      waiting_from_revision: null,
    });
  });

  it("refuses a write that says what nobody knows", async () => {
    expect((await rig.send("POST", "/upstreams?rollout=later", { name: "u1" })).status).toBe(400);
    expect((await rig.send("GET", "/upstreams")).json.data).toEqual([]);
  });

  it("tells where a write is that is held back", async () => {
    rig.fleet.waitForRevision = async () => ({ appliedCount: 0, nodeCount: 3, heldBack: "waiting" });
    const { headers } = await rig.send("POST", "/upstreams", { name: "u1" });
    expect([headers["penstock-applied"], headers["penstock-rollout"]]).toEqual(["0/3", "waiting"]);
  });
});
