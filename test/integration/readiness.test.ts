import { describe, expect, it } from "vitest";
import { adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  type DataPlaneProcess,
  runPenstock,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";

/** The conditions that are not met, or "ready"; asked until it is so. */
async function readiness({ statusUrl }: DataPlaneProcess, want: readonly string[]): Promise<void> {
  await expect
    .poll(
      async () => {
        const answer = await fetch(`${statusUrl}/status/ready`);
        const { unmet = [] } = (await answer.json()) as { unmet?: { condition: string }[] };
        return [answer.status, unmet.map(({ condition }) => condition)];
      },
      { timeout: 20_000, interval: 20 },
    )
    .toEqual([want.length === 0 ? 200 : 503, want]);
}

describe("the readiness of a data plane", () => {
  it("asks for what was selected, and names every condition that is not met", async () => {
    const controlPlane = await startControlPlane();
    const env = { PENSTOCK_READY_WHEN: "has-config,listeners-up,in-sync=0s,healthy-endpoint" };
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { env });
    await readiness(dataPlane, ["healthy-endpoint"]);

    const target = await startEchoTargetProcess("t1");
    const address = `127.0.0.1:${target.port}`;
    const { adminUrl } = controlPlane;
    await createBalancedRoute(adminUrl, { name: "u", path: "/u", targets: [address] });
    await readiness(dataPlane, []);
    await adminOk(adminUrl, "PUT", `/upstreams/u/targets/${address}/unhealthy`);
    await readiness(dataPlane, ["healthy-endpoint"]);

    await controlPlane.stop("SIGKILL");
    await readiness(dataPlane, ["in-sync", "healthy-endpoint"]);
  });

  it("stays ready without a control plane for as long as was selected, and for ever where nothing was", async () => {
    const controlPlane = await startControlPlane();
    const stateDir = temporaryFolder();
    const lenient = await startDataPlane(controlPlane.syncAddress, {
      stateDir,
      env: { PENSTOCK_READY_WHEN: "in-sync=1h" },
    });
    await readiness(lenient, []);
    await controlPlane.stop("SIGKILL");
    await lenient.jsonLine(({ msg }) => msg === "no stream to the control plane");
    await readiness(lenient, []);
    await lenient.stop();

    const restarted = await startDataPlane(controlPlane.syncAddress, { stateDir });
    await readiness(restarted, []);
    await restarted.stop();
    const strict = await startDataPlane(controlPlane.syncAddress, {
      stateDir,
      env: { PENSTOCK_READY_WHEN: "in-sync=1h" },
    });
    await readiness(strict, ["in-sync"]);
  });

  it("cannot be what it does not know", async () => {
    const refused = runPenstock(["data-plane", "--ready-when", "has-config,happy"]);
    expect(await refused.ended).toBe(2);
    expect(refused.lines.join("\n")).toContain(
      '--ready-when: "has-config,happy" is no list of conditions: "happy" is not one of has-config, listeners-up, in-sync, healthy-endpoint',
    );
  });
});
