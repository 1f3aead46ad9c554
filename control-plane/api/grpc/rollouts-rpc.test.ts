import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RolloutsAPI } from "../../../proto/gen/penstock/admin/v1/rollouts_pb.ts";
import { UpstreamsAPI } from "../../../proto/gen/penstock/admin/v1/upstreams_pb.ts";
import { RolloutMode, RolloutPhase } from "../../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { type RpcRig, startRpcRig } from "../../../test/support/rpc-rig.ts";

let rig: RpcRig;
beforeEach(async () => {
  rig = await startRpcRig();
});
afterEach(() => rig.close());

function clients() {
  const transport = createConnectTransport({ baseUrl: `http://${rig.address}`, httpVersion: "1.1" });
  return { rollouts: createClient(RolloutsAPI, transport), upstreams: createClient(UpstreamsAPI, transport) };
}

const staged = { headers: { "penstock-rollout": "staged" } };

describe("rolloutsRpc", () => {
  it("sets a policy and reads it with its defaults", async () => {
    const { rollouts } = clients();
    await rollouts.setRolloutPolicy({ policy: { mode: RolloutMode.STAGED, stages: [{ percent: 20 }] } });
    const { policy } = await rollouts.getRolloutPolicy({});
    expect(policy).toMatchObject({ mode: RolloutMode.STAGED, stages: [{ percent: 20 }], requestMinCount: 50n });
    const wrong = rollouts.setRolloutPolicy({ policy: { errorShareTolerance: 2 } }).catch(ConnectError.from);
    expect(await wrong).toMatchObject({ code: Code.InvalidArgument });
  });

  it.each([
    { seconds: 1n, nanos: 2_000_000_000 },
    { seconds: 2n, nanos: -500_000_000 },
    { seconds: -(2n ** 63n), nanos: 0 },
    { seconds: 2n ** 63n - 1n, nanos: 0 },
    { seconds: 0n, nanos: -1 },
    { seconds: 0n, nanos: 300_000 },
  ])("refuses a time of $seconds s and $nanos ns, and can be read as JSON after it", async (soak) => {
    const baseUrl = `http://${rig.address}`;
    const inBytes = createClient(RolloutsAPI, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
    const refused = inBytes.setRolloutPolicy({ policy: { mode: RolloutMode.STAGED, soak } }).catch(ConnectError.from);
    expect(await refused).toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringMatching(/^policy\.soak: expected /),
    });
    const inJson = createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false });
    const { policy } = await createClient(RolloutsAPI, inJson).getRolloutPolicy({});
    expect(policy?.soak?.seconds).toBe(60n);
  });

  it("has writes go stage by stage whose metadata says so, and gives them to all on demand", async () => {
    const { rollouts, upstreams } = clients();
    await upstreams.createUpstream({ upstream: { name: "u1" } }, staged);
    const { rollout } = await rollouts.getRollout({});
    expect(rollout).toMatchObject({ phase: RolloutPhase.DONE, number: 0n });
    expect(rollout!.waitingFromRevision).toBeGreaterThan(0n);
    const { rollout: promoted } = await rollouts.promoteRollout({});
    expect(promoted).toMatchObject({ phase: RolloutPhase.DONE, waitingFromRevision: 0n, baselineRevision: 0n });
  });

  it("refuses metadata that it does not know", async () => {
    const { upstreams } = clients();
    const headers = { "penstock-rollout": "later" };
    const refused = upstreams.createUpstream({ upstream: { name: "u1" } }, { headers }).catch(ConnectError.from);
    expect(await refused).toMatchObject({ code: Code.InvalidArgument });
  });

  it.each(["pauseRollout", "resumeRollout", "promoteRollout", "abortRollout"] as const)(
    "%s needs a rollout",
    async (call) => {
      const refused = clients().rollouts[call]({}).catch(ConnectError.from);
      expect(await refused).toMatchObject({ code: Code.FailedPrecondition });
    },
  );

  it("tells how it stands, and again when it stands otherwise", async () => {
    const { rollouts, upstreams } = clients();
    const leaving = new AbortController();
    const seen: bigint[] = [];
    try {
      for await (const { rollout } of rollouts.watchRollout({}, { signal: leaving.signal })) {
        seen.push(rollout!.waitingFromRevision);
        if (seen.length === 1) await upstreams.createUpstream({ upstream: { name: "u1" } }, staged);
        if (rollout!.waitingFromRevision > 0n) break;
      }
    } finally {
      leaving.abort();
    }
    expect(seen[0]).toBe(0n);
    expect(seen.at(-1)).toBeGreaterThan(0n);
  });
});
