import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type EndpointHealth,
  HealthState,
  type NodeView,
  type TargetHealth,
  type UpstreamHealth,
} from "../proto/gen/penstock/admin/v1/health_pb.ts";
import { linesText, oneLine } from "./printable.ts";
import { textTable } from "./text-table.ts";

const columns = ["UPSTREAM", "TARGET", "ENDPOINT", "STATE", "HEALTHY ON", "SOURCE", "REASON", "SINCE"];

/** Longest reason in a table; the whole of it is in the JSON. */
const reasonMaxLength = 60;

/** Whether any endpoint that is to get requests is out on every node that reports on it, or a name has no address. */
export function isUnhealthy({ targets }: UpstreamHealth): boolean {
  return targets.some(
    ({ weight, state, endpoints }) =>
      weight > 0 &&
      (state === HealthState.DNS_ERROR || endpoints.some((endpoint) => endpoint.state === HealthState.UNHEALTHY)),
  );
}

/** A line per endpoint, and for a target without one a line of its own. */
export function healthTable(upstreams: readonly UpstreamHealth[]): string {
  const rows = upstreams.flatMap(upstreamRows);
  return linesText(textTable([columns, ...rows]));
}

function upstreamRows({ upstreamName, targets }: UpstreamHealth): string[][] {
  if (targets.length === 0) return [[upstreamName, "none", "", "", "", "", "", ""]];
  return targets.flatMap((target) => targetRows(upstreamName, target));
}

function targetRows(upstream: string, { target, state, weight, endpoints }: TargetHealth): string[][] {
  const shown = weight === 0 ? `${target} (weight 0)` : target;
  if (endpoints.length === 0) return [[upstream, shown, "", stateText(state), "0 of 0", "", "", ""]];
  return endpoints.map((endpoint) => [upstream, shown, ...endpointCells(endpoint)]);
}

function endpointCells(endpoint: EndpointHealth): string[] {
  const { address, state, healthyNodeCount, reportingNodeCount, views } = endpoint;
  const view = tellingView(views);
  const reason = view === undefined ? "" : address === "" ? view.dns || view.reason : view.reason;
  return [
    address,
    stateText(state),
    `${healthyNodeCount} of ${reportingNodeCount}`,
    view?.source ?? "",
    oneLine(reason, reasonMaxLength),
    sinceText(view),
  ];
}

/** The view that says most: of those where it is out, else of all, the one that has been so for longest. */
function tellingView(views: readonly NodeView[]): NodeView | undefined {
  const out = views.filter(({ healthy }) => !healthy);
  const since = (view: NodeView) => Number(view.since?.seconds ?? 0n);
  return (out.length > 0 ? out : views).toSorted((a, b) => since(a) - since(b))[0];
}

function sinceText(view: NodeView | undefined): string {
  // 0 is what nobody has said.
  if (view?.since === undefined || view.since.seconds === 0n) return "";
  return timestampDate(view.since).toISOString();
}

const stateTexts: ReadonlyMap<HealthState, string> = new Map<HealthState, string>([
  [HealthState.UNSPECIFIED, "not reported"],
  [HealthState.HEALTHY, "healthy"],
  [HealthState.UNHEALTHY, "unhealthy"],
  [HealthState.HEALTHCHECKS_OFF, "checks off"],
  [HealthState.DNS_ERROR, "dns error"],
]);

/** A number is a state of a later version. */
export function stateText(state: HealthState): string {
  return stateTexts.get(state) ?? String(state);
}
