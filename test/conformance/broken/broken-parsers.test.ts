import { afterEach, describe, expect, it, vi } from "vitest";
import { emptyReport, type FuzzReport, fuzzRequests } from "../../fuzz/fuzz-requests.ts";
import { requestOperators } from "../../fuzz/request-operators.ts";
import { requestSeeds } from "../../fuzz/request-seeds.ts";
import { SeededRandom } from "../../fuzz/seeded-random.ts";
import { RecordingBackend } from "../recording-backend.ts";
import { requestCorpus } from "../request-corpus.ts";
import { runRequestCase } from "../run-request-case.ts";
import { scanFieldLinesTakingBareLf } from "./bare-lf-field-lines.ts";
import { bothLengthsHead } from "./both-lengths-head.ts";
import { WrappingChunkScanner } from "./wrapping-chunk-scanner.ts";

const http1 = "../../../data-plane/http1";

/** What takes the place of a module of the engine. */
const broken: readonly { name: string; plant: () => void }[] = [
  { name: "nothing", plant: () => {} },
  {
    name: "a bare LF is a line end",
    plant: () =>
      vi.doMock(`${http1}/field-lines.ts`, async (original) => ({
        ...(await original<object>()),
        scanFieldLines: scanFieldLinesTakingBareLf,
      })),
  },
  {
    name: "length and coding are both taken",
    plant: () =>
      vi.doMock(`${http1}/request-head.ts`, async (original) => {
        const { RequestHead } = await original<typeof import("../../../data-plane/http1/request-head.ts")>();
        return { RequestHead: bothLengthsHead(RequestHead) };
      }),
  },
  {
    name: "chunk sizes wrap",
    plant: () => vi.doMock(`${http1}/chunk-scanner.ts`, () => ({ ChunkScanner: WrappingChunkScanner })),
  },
];

afterEach(() => {
  vi.doUnmock(`${http1}/field-lines.ts`);
  vi.doUnmock(`${http1}/request-head.ts`);
  vi.doUnmock(`${http1}/chunk-scanner.ts`);
});

/** Cases of the corpus that found something dangerous in the engine as it is now, and mutants until some did. */
async function search(timeoutMs: number): Promise<{ cases: string[]; report: FuzzReport }> {
  vi.resetModules();
  const { Rig } = await import("../../../data-plane/listener/proxy-server.test-rig.ts");
  const backend = await RecordingBackend.open();
  const rig = await Rig.open({ ports: [backend.port], routes: [{ stripPath: false }] });
  const cases: string[] = [];
  try {
    for (const family of requestCorpus) {
      for (const one of family.cases) {
        const failures = await runRequestCase({ port: rig.server.port, backend, timeoutMs }, one);
        if (failures.some((failure) => failure.startsWith("dangerous"))) cases.push(`${family.name}: ${one.name}`);
      }
    }
    const report = emptyReport();
    const fuzz = { port: rig.server.port, recorders: [backend], operators: requestOperators, seeds: requestSeeds };
    const random = new SeededRandom(7);
    while (report.mutants < 3_000 && report.failures.length === 0) {
      await fuzzRequests({ ...fuzz, random, timeoutMs }, 100, report);
    }
    return { cases, report };
  } finally {
    await rig.close();
    await backend.close();
  }
}

describe("corpus and fuzz", () => {
  it.each(broken)("find what is dangerous when $name", async ({ name, plant }) => {
    plant();
    // A broken parser leaves many waiting in vain; the right one leaves nobody, and gets time on a busy machine.
    const { cases, report } = await search(name === "nothing" ? 10_000 : 300);
    console.log(`${name}: found by ${cases.length} cases, ${report.failures.length} of ${report.mutants} mutants`);
    expect(cases.length > 0).toBe(name !== "nothing");
    expect(report.failures.length > 0).toBe(name !== "nothing");
  });
});
