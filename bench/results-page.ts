import { judgeBars } from "./bars.ts";
import type { MemoryResult } from "./measure-memory.ts";
import { figureRows, type WorkloadResult } from "./report.ts";

/** `bench/results/README.md`: the bars and whether they are met, then every figure. */
export function resultsPage(results: readonly WorkloadResult[], memory: MemoryResult | null): string {
  const sections = [
    "# What a proxied request costs",
    [
      "Written by `npm run bench` from the files beside it. CPU time of the proxy's whole process tree per completed",
      "request, user and kernel, the proxy on a core of its own; contestants measured in turn, in reversed order every",
      "other round; medians over the rounds of the ratio within a round. Microseconds differ between machines, ratios",
      "hardly. `penstock` has every feature on and 1,000 routes unless the workload says otherwise, the peers have one.",
    ].join("\n"),
    "## The bars",
    barTable(results, memory),
    ...results.flatMap(workloadSection),
    ...(memory === null ? [] : memorySection(memory)),
  ];
  return `${sections.join("\n\n")}\n`;
}

function barTable(results: readonly WorkloadResult[], memory: MemoryResult | null): string {
  const rows = judgeBars(results).map(({ workload, of, against, max, aim, ratio }) => [
    workload,
    `CPU per request${of === undefined ? "" : ` of ${of}`}, x ${against}`,
    aim === undefined ? `<= ${max}` : `<= ${max}, aim ${aim.toFixed(1)}`,
    ratio === null ? "not measured" : ratio.toFixed(2),
    ratio === null ? "-" : verdict(ratio <= max, results.find((one) => one.workload === workload)!.isValid),
  ]);
  for (const { what, mb, maxMb } of memory?.figures ?? []) {
    rows.push(["memory", what, `<= ${maxMb} MB`, `${mb} MB`, verdict(mb <= maxMb, true)]);
  }
  return markdownTable([["workload", "figure", "bar", "found", "met"], ...rows]);
}

function verdict(isMet: boolean, isValid: boolean): string {
  if (!isValid) return "run not valid";
  return isMet ? "yes" : "**no**";
}

function workloadSection(result: WorkloadResult): string[] {
  const { workload, title, subjects, validity, notMeasured } = result;
  const broken = validity.filter(({ holds }) => !holds);
  const lines = [
    `${provenance(result)}; ${result.requestsPerMeasurement} requests a measurement, ${result.connections} connections.`,
    ...broken.map(({ rule, found }) => `**Not valid**: not so: ${rule} (${found}).`),
    ...notMeasured.map(({ name, reason }) => `Not measured: ${name} (${reason}).`),
  ];
  return [`## ${workload}: ${title}`, markdownTable(figureRows(subjects)), lines.join("\n")];
}

function memorySection(memory: MemoryResult): string[] {
  const rows = memory.figures.map(({ what, mb }) => [what, String(mb)]);
  return ["## memory: an idle node", markdownTable([["figure", "PSS MB"], ...rows]), `${provenance(memory)}.`];
}

function provenance({ commit, date, machine, node }: Pick<WorkloadResult, "commit" | "date" | "machine" | "node">) {
  return `Commit ${commit}, ${date.slice(0, 10)}, ${machine.cores} cores of ${machine.cpu}, Linux ${machine.kernel}, Node ${node}`;
}

function markdownTable([head, ...rows]: readonly (readonly string[])[]): string {
  return [head!, head!.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
