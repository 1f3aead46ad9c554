import { HealthState } from "../proto/gen/penstock/admin/v1/health_pb.ts";
import type {
  EndpointTraffic,
  NodeTraffic,
  TargetTraffic,
  TrafficFigures,
  UpstreamTraffic,
} from "../proto/gen/penstock/admin/v1/traffic_pb.ts";
import { stateText } from "./health-table.ts";
import type { ScreenLine } from "./live-screen.ts";
import { printable } from "./printable.ts";
import type { SortKey } from "./top-options.ts";

/** A line of the table, and what it stands for. */
export interface TopLine extends ScreenLine {
  readonly kind: "title" | "upstream" | "endpoint" | "node";
}

interface Row {
  readonly kind: TopLine["kind"];
  readonly isUnhealthy: boolean;
  readonly cells: readonly string[];
}

const titles = [
  "UPSTREAM",
  "STATE",
  "REQ/S",
  "ERR/S",
  "ERR %",
  "P50 MS",
  "P99 MS",
  "IN FLIGHT",
  "EJECTIONS",
  "REQUESTS",
];
/** Names are read from the left, figures from the right. */
const namedColumns = 2;

/** A line for each upstream, below it one for each of its endpoints, and below that what each node sees, if it is known. */
export function topTable(upstreams: readonly UpstreamTraffic[], sortBy: SortKey): readonly TopLine[] {
  const rows = sorted(upstreams, sortBy, ({ upstreamName }) => upstreamName).flatMap((one) =>
    upstreamRows(one, sortBy),
  );
  const all: Row[] = [{ kind: "title", isUnhealthy: false, cells: titles }, ...rows];
  const widths = titles.map((_, column) => Math.max(...all.map(({ cells }) => cells[column]!.length)));
  return all.map(({ kind, isUnhealthy, cells }) => {
    const aligned = cells.map((cell, column) =>
      column < namedColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    );
    return { kind, isHeading: kind === "upstream", isUnhealthy, text: printable(aligned.join("  ")).trimEnd() };
  });
}

function upstreamRows(upstream: UpstreamTraffic, sortBy: SortKey): readonly Row[] {
  const { upstreamName, state, figures, nodes, targets } = upstream;
  const places = targets.flatMap(placesOf);
  return [
    {
      kind: "upstream",
      isUnhealthy: isOut(state),
      cells: [upstreamName, stateText(state), ...cellsOf(figures)],
    },
    ...nodes.map((node) => nodeRow(node, "    ")),
    ...sorted(places, sortBy, ({ name }) => name).flatMap(({ name, place, nodes: ofPlace }) => [
      {
        kind: "endpoint" as const,
        isUnhealthy: isOut(place.state),
        cells: [`  ${name}`, stateText(place.state), ...cellsOf(place.figures)],
      },
      ...ofPlace.map((node) => nodeRow(node, "    ")),
    ]),
  ];
}

interface Place {
  readonly name: string;
  readonly place: Pick<EndpointTraffic, "state" | "figures">;
  readonly figures: TrafficFigures | undefined;
  readonly nodes: readonly NodeTraffic[];
}

/** A target's endpoints; itself where it has none. */
function placesOf(target: TargetTraffic): readonly Place[] {
  const { target: configured, weight, endpoints, figures } = target;
  const shown = configured === "" ? "(removed)" : weight === 0 ? `${configured} (weight 0)` : configured;
  if (endpoints.length === 0) return [{ name: shown, place: target, figures, nodes: [] }];
  return endpoints.map((endpoint) => {
    const name = endpoint.address === configured ? shown : `${shown} ${endpoint.address}`;
    return { name, place: endpoint, figures: endpoint.figures, nodes: endpoint.nodes };
  });
}

function nodeRow({ hostname, nodeId, figures }: NodeTraffic, indent: string): Row {
  const name = `${indent}on ${hostname === "" ? nodeId : hostname} (${nodeId.slice(0, 8)})`;
  return { kind: "node", isUnhealthy: false, cells: [name, "", ...cellsOf(figures)] };
}

function cellsOf(figures: TrafficFigures | undefined): readonly string[] {
  if (figures === undefined) return titles.slice(namedColumns).map(() => "");
  const { ejectionCount, ejectionsLastMinute, latencyP50Ms, latencyP99Ms } = figures;
  const recent = ejectionsLastMinute === 0n ? "" : `+${ejectionsLastMinute} `;
  return [
    decimal(figures.requestsPerSecond),
    decimal(figures.errorsPerSecond),
    decimal(100 * figures.errorRatio),
    latencyP50Ms === undefined ? "-" : decimal(latencyP50Ms),
    latencyP99Ms === undefined ? "-" : decimal(latencyP99Ms),
    String(figures.inFlight),
    `${recent}${ejectionCount}`,
    String(figures.requestCount),
  ];
}

/** Two digits that count, for figures from hundredths to thousands. */
function decimal(value: number): string {
  return value === 0 ? "0" : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

function isOut(state: HealthState): boolean {
  return state === HealthState.UNHEALTHY || state === HealthState.DNS_ERROR;
}

/** Those that are equal stay in the order of their names. */
function sorted<T extends { readonly figures?: TrafficFigures | undefined }>(
  items: readonly T[],
  by: SortKey,
  nameOf: (item: T) => string,
): readonly T[] {
  const byName = items.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0));
  return by === "name" ? byName : byName.toSorted((a, b) => sizeOf(b.figures, by) - sizeOf(a.figures, by));
}

function sizeOf(figures: TrafficFigures | undefined, by: Exclude<SortKey, "name">): number {
  if (figures === undefined) return 0;
  if (by === "requests") return figures.requestsPerSecond;
  if (by === "errors") return figures.errorsPerSecond;
  return by === "p99" ? (figures.latencyP99Ms ?? 0) : Number(figures.inFlight);
}
