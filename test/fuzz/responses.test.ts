import { expect, it, onTestFinished } from "vitest";
import { Rig } from "../../data-plane/listener/proxy-server.test-rig.ts";
import { ScriptedBackend } from "../conformance/scripted-backend.ts";
import { emptyReport, operatorTable } from "./fuzz-requests.ts";
import { fuzzResponses } from "./fuzz-responses.ts";
import { responseOperators } from "./response-operators.ts";
import { responseSeeds } from "./response-seeds.ts";
import { SeededRandom } from "./seeded-random.ts";

/** Set PENSTOCK_FUZZ_SEED to repeat a run. */
const seed = Number(process.env["PENSTOCK_FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 32));

it("mutated answers reach the client whole, as one reading only, or visibly not", async () => {
  console.log(`fuzz: answers, seed ${seed}`);
  const backend = await ScriptedBackend.open();
  onTestFinished(() => backend.close());
  const rig = await Rig.open({
    ports: [backend.port],
    routes: [{ stripPath: false }],
    service: { readTimeoutMs: 1_000 },
  });
  onTestFinished(() => rig.close());
  const report = emptyReport();
  const fuzz = { port: rig.server.port, backend, host: "a.test", operators: responseOperators, seeds: responseSeeds };
  await fuzzResponses({ ...fuzz, random: new SeededRandom(seed) }, 2_000, report);
  const { lines, tooFew } = operatorTable(report, responseOperators);
  console.log(lines.join("\n"));
  expect(report.failures, `seed ${seed}`).toEqual([]);
  expect(report).toMatchObject({ mutants: 2_000, hangs: 0 });
  expect(tooFew, "operators of whose mutants too few are delivered to prove anything").toEqual([]);
  expect(backend.odd).toEqual([]);
  expect(rig.defects).toEqual([]);
});
