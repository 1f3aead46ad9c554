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
  const env = { NODE_OPTIONS: `--max-old-space-size=200 --import ${preload}`, PENSTOCK_TEST_CRASH_FILE: file };
  const start = (controlPlane: ControlPlaneProcess) => startDataPlane(controlPlane.syncAddress, { stateDir, env });
  return {
    start,
    /** Process after process is lost soon after it serves the path. */
    async lose(controlPlane: ControlPlaneProcess, path: string, how: "throw" | "memory" | "kill") {
      for (let i = 0; i < 3; i++) {
        const lost = await start(controlPlane);
        await answersOf(lost, path, 200);
        if (how === "kill") await lost.stop("SIGKILL");
        else writeFileSync(file, how);
        expect(await lost.ended).toBe({ throw: 1, memory: "SIGABRT", kill: "SIGKILL" }[how]);
        rmSync(file, { force: true });
      }
    },
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

/** A data plane that has kept a state with the route "one" and then one with "two", and has no control plane any more. */
async function withTwoGenerations() {
  const controlPlane = await startControlPlane();
  const rig = crashing();
  // Of writes that come one after the other only some are kept; what is served when a node ends is.
  for (const name of ["one", "two"]) {
    const before = await rig.start(controlPlane);
    await createRoute(controlPlane, name);
    await before.stop();
  }
  await controlPlane.stop("SIGKILL");
  return { ...rig, controlPlane };
}

/** Every worker that takes connections answers so, several times in a row. */
async function answersOf(dataPlane: DataPlaneProcess, path: string, status: number): Promise<void> {
  for (let inARow = 0; inARow < 10; )
    inARow = (await getFresh(dataPlane.proxyPort, path).catch(() => null))?.status === status ? inARow + 1 : 0;
}

it("row 19: a node goes back to the generation before where workers die of the first that it serves after a restart", async () => {
  const { start, untilGivenUp, controlPlane } = await withTwoGenerations();

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

it("A18: a node goes back to the generation before where process after process is lost with the newest, not where it is killed", async () => {
  const { start, lose, controlPlane } = await withTwoGenerations();

  await lose(controlPlane, "/two/x", "kill");
  await lose(controlPlane, "/two/x", "throw");
  const dataPlane = await start(controlPlane);
  await answersOf(dataPlane, "/one/x", 200);
  await answersOf(dataPlane, "/two/x", 404);
  const refused = await dataPlane.jsonLine(({ msg }) => msg === "kept snapshot refused");
  expect(refused).toMatchObject({ refusal: { reason: "process_lost" } });
  // An orderly restart goes on with it: nothing that was there is lost.
  await dataPlane.stop();
  await answersOf(await start(controlPlane), "/one/x", 200);
}, 180_000);

it("A18: what processes are lost with is refused by that node, as its control plane is told, until something else comes", async () => {
  const controlPlane = await startControlPlane();
  const { start, lose } = crashing();
  const before = await start(controlPlane);
  await createRoute(controlPlane, "one");
  await before.stop();
  await createRoute(controlPlane, "two");
  await lose(controlPlane, "/two/x", "memory");

  const dataPlane = await start(controlPlane);
  await answersOf(dataPlane, "/one/x", 200);
  await answersOf(dataPlane, "/two/x", 404);
  const refused = await controlPlane.jsonLine(({ msg }) => msg === "node refused a publication");
  expect(refused).toMatchObject({ nack: { reason: "process_lost" } });
  // One node's processes are no reason to take it from others.
  expect((await adminOk(controlPlane.adminUrl, "GET", "/quarantines")).body.data).toEqual([]);
  await createRoute(controlPlane, "three");
  for (const path of ["/one/x", "/two/x", "/three/x"]) await answersOf(dataPlane, path, 200);
}, 180_000);
