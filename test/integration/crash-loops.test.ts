import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  type ControlPlaneProcess,
  type DataPlaneProcess,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

const preload = new URL("../support/crash-preload.mjs", import.meta.url).href;

/** A data plane whose workers can be made to die, and a place for what it keeps. */
function crashing() {
  const stateDir = temporaryFolder();
  const file = join(temporaryFolder(), "crash");
  const env = { NODE_OPTIONS: `--import ${preload}`, PENSTOCK_TEST_CRASH_FILE: file };
  return {
    start: (controlPlane: ControlPlaneProcess) => startDataPlane(controlPlane.syncAddress, { stateDir, env }),
    /** Workers die until the node gives up what they serve. */
    async untilGivenUp(dataPlane: DataPlaneProcess) {
      writeFileSync(file, "");
      const given = await dataPlane.jsonLine(({ msg }) => msg === "publication given up");
      rmSync(file);
      return given;
    },
  };
}

async function createRoute(controlPlane: ControlPlaneProcess, name: string): Promise<void> {
  const target = await startEchoTargetProcess(name);
  const targets = [`127.0.0.1:${target.port}`];
  await createBalancedRoute(controlPlane.adminUrl, { name, path: `/${name}`, targets });
}

/** Every worker that takes connections answers so, several times in a row. */
async function answersOf(dataPlane: DataPlaneProcess, path: string, status: number): Promise<void> {
  for (let inARow = 0; inARow < 10; )
    inARow = (await getFresh(dataPlane.proxyPort, path).catch(() => null))?.status === status ? inARow + 1 : 0;
}

it("row 19: a node goes back to the generation before where workers die of the first that it serves after a restart", async () => {
  const controlPlane = await startControlPlane();
  const { start, untilGivenUp } = crashing();
  // Of writes that come one after the other only some are kept; what is served when a node ends is.
  for (const name of ["one", "two"]) {
    const before = await start(controlPlane);
    await createRoute(controlPlane, name);
    await before.stop();
  }
  await controlPlane.stop("SIGKILL");

  const dataPlane = await start(controlPlane);
  await answersOf(dataPlane, "/two/x", 200);
  expect(await untilGivenUp(dataPlane)).toMatchObject({ refusal: { reason: "workers_lost" } });
  await answersOf(dataPlane, "/two/x", 404);
  await answersOf(dataPlane, "/one/x", 200);
  await dataPlane.stop();

  const restarted = await start(controlPlane);
  await answersOf(restarted, "/one/x", 200);
  await answersOf(restarted, "/two/x", 404);
});

it("row 19: what workers die of is held back by the control plane, and what comes after it is served", async () => {
  const controlPlane = await startControlPlane();
  const { start, untilGivenUp } = crashing();
  const dataPlane = await start(controlPlane);
  for (const name of ["one", "two"]) await createRoute(controlPlane, name);
  await untilGivenUp(dataPlane);
  const quarantines = async () => (await adminOk(controlPlane.adminUrl, "GET", "/quarantines")).body.data as unknown[];
  while ((await quarantines()).length === 0) await answersOf(dataPlane, "/one/x", 200);
  expect(await quarantines()).toMatchObject([{ reason: "workers_lost" }]);
  await answersOf(dataPlane, "/two/x", 404);

  await createRoute(controlPlane, "three");
  await answersOf(dataPlane, "/three/x", 200);
  await answersOf(dataPlane, "/two/x", 404);
});
