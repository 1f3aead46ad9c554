import { describe, expect, it, onTestFinished } from "vitest";
import { Rig } from "../../data-plane/listener/proxy-server.test-rig.ts";
import { RecordingBackend } from "../conformance/recording-backend.ts";
import { emptyReport, fuzzRequests, operatorTable } from "./fuzz-requests.ts";
import { NodeRequestCounter } from "./node-request-counter.ts";
import { RecordingTap } from "./recording-tap.ts";
import { requestOperators } from "./request-operators.ts";
import { requestSeeds } from "./request-seeds.ts";
import { SeededRandom } from "./seeded-random.ts";

/** Set PENSTOCK_FUZZ_SEED to repeat a run. */
const seed = Number(process.env["PENSTOCK_FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const operators = requestOperators;

async function open<T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> {
  const opened = await opening;
  onTestFinished(() => opened.close());
  return opened;
}

/** What Node's parser knows nothing of and refuses as framing: we leave these lines of trailers out. */
const framingInTrailer =
  /\r\n0+(?:;[^\r]*)?\r\n(?:[^\r]+\r\n)*(?:content-length|transfer-encoding|connection|upgrade):/i;

/** After a request to upgrade it reads no further, whatever becomes of that. */
const upgrade = /^connection:.*upgrade/im;

async function refusedByNode(forwarded: ReadonlyMap<string, number>): Promise<string[]> {
  const node = await open(NodeRequestCounter.open());
  const refused: string[] = [];
  for (const [bytes, answers] of forwarded) {
    if (framingInTrailer.test(bytes)) continue;
    const seen = await node.requestsIn(bytes);
    if (seen < (upgrade.test(bytes) ? 1 : answers))
      refused.push(`${seen} of ${answers}: ${JSON.stringify(bytes.slice(0, 600))}`);
  }
  return refused;
}

const everyPath = [{ stripPath: false }];

describe("S2: mutated requests", () => {
  it("reach the target whole, as one reading only, or not at all", async () => {
    console.log(`fuzz: one hop, seed ${seed}`);
    const backend = await open(RecordingBackend.open());
    const rig = await open(Rig.open({ ports: [backend.port], routes: everyPath }));
    const report = emptyReport();
    const forwarded = new Map<string, number>();
    const onForwarded = (bytes: string, answers: number) => forwarded.set(bytes, answers);
    const fuzz = { port: rig.server.port, recorders: [backend], operators, seeds: requestSeeds, onForwarded };
    await fuzzRequests({ ...fuzz, random: new SeededRandom(seed) }, 3_000, report);
    const { lines, tooFew } = operatorTable(report, operators);
    console.log(lines.join("\n"));
    expect(report.failures, `seed ${seed}`).toEqual([]);
    expect(report).toMatchObject({ mutants: 3_000, hangs: 0 });
    expect(tooFew, "operators of whose mutants too few arrive to prove anything").toEqual([]);
    expect(rig.defects).toEqual([]);
    expect(await refusedByNode(forwarded), "forwarded by us, refused by Node's strict parser").toEqual([]);
  });

  it("mean the same to a second proxy behind the first", async () => {
    console.log(`fuzz: two hops, seed ${seed}`);
    const backend = await open(RecordingBackend.open());
    const second = await open(Rig.open({ ports: [backend.port], routes: everyPath }));
    const tap = await open(RecordingTap.open(second.server.port));
    const first = await open(Rig.open({ ports: [tap.port], routes: everyPath }));
    const report = emptyReport();
    const fuzz = { port: first.server.port, recorders: [tap, backend], operators, seeds: requestSeeds };
    await fuzzRequests({ ...fuzz, random: new SeededRandom(seed + 1) }, 1_000, report);
    expect(report.failures, `seed ${seed}`).toEqual([]);
    expect(report).toMatchObject({ mutants: 1_000, hangs: 0 });
    expect(second.counter("rejected_requests")).toBe(0);
    expect(second.counter("requests")).toBeGreaterThanOrEqual(report.answers);
    expect([...first.defects, ...second.defects]).toEqual([]);
  });
});
