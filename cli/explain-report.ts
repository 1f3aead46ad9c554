import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type ExplainedEndpoint,
  type ExplainedPool,
  ExplainOutcome_Kind,
  type ExplainResponse,
  type OtherRoute,
  type RewrittenRequest,
} from "../proto/gen/penstock/admin/v1/explain_pb.ts";
import { linesText, oneLine } from "./printable.ts";
import { textTable } from "./text-table.ts";

/** Those beyond are in the JSON. */
const otherRoutesMax = 10;
const textMaxLength = 300;
const reasonMaxLength = 60;

const columns = ["", "ENDPOINT", "TARGET", "WEIGHT", "SHARE", "IN FLIGHT", "STATE", "SOURCE", "REASON", "SINCE"];
/** Where there are several tiers, or zones. */
const tierColumns = ["TIER", "ZONE"];

/** Whether a target would be asked. */
export function isProxied({ outcome }: ExplainResponse): boolean {
  return outcome?.kind === ExplainOutcome_Kind.PROXIED;
}

/** What a node would do, for people. */
export function explainReport(response: ExplainResponse): string {
  const parts = [
    askedLines(response),
    routeLines(response),
    poolLines(response),
    rewrittenLines(response.rewritten),
    response.notes.map((note) => `Note: ${told(note)}`),
  ];
  return parts
    .filter((lines) => lines.length > 0)
    .map(linesText)
    .join("\n");
}

function askedLines(response: ExplainResponse): readonly string[] {
  const { request, node, publication } = response;
  const by = `node ${told(node?.id ?? "")} (${told(node?.hostname ?? "")}), publication ${publication}`;
  const line =
    request === undefined
      ? `Asked of ${by}`
      : `${request.method} ${request.scheme}://${told(request.host)}${told(request.path + request.query)} ` +
        `from ${told(request.clientAddress)}, asked of ${by}`;
  return [line, outcomeLine(response)];
}

function outcomeLine({ outcome, picked }: ExplainResponse): string {
  if (outcome === undefined) return "The node does not say how it ends.";
  if (outcome.kind === ExplainOutcome_Kind.PROXIED) return `It goes to ${picked}.`;
  if (outcome.kind === ExplainOutcome_Kind.QUEUED)
    return "It waits for its turn: as many requests are under way as may be, or others wait already.";
  const { status, error, message, detail, location } = outcome;
  const more = [detail === "" ? "" : ` (${told(detail)})`, location === "" ? "" : `, to ${told(location)}`].join("");
  return `The node answers ${status} by itself: ${error}${more}: ${message}`;
}

function routeLines({ route, otherRoutes, moreRouteCount }: ExplainResponse): readonly string[] {
  const lines: string[] = [];
  if (route !== undefined) {
    const by = route.path === "" ? "which asks for no path" : `by its path ${told(route.path)}`;
    lines.push(`Route: ${nameOf(route)}, ${by}`);
  }
  const shown = otherRoutes.slice(0, otherRoutesMax);
  if (shown.length > 0) lines.push(route === undefined ? "No route takes it:" : "Other routes:");
  lines.push(...textTable(shown.map((other) => [`  ${nameOf(other)}`, reasonsText(other)])));
  const rest = otherRoutes.length - shown.length + moreRouteCount;
  if (rest > 0) lines.push(`  and ${rest} more`);
  return lines;
}

function reasonsText({ reasons }: OtherRoute): string {
  return oneLine(reasons.join("; "), textMaxLength);
}

function poolLines(response: ExplainResponse): readonly string[] {
  const { service, pool, retry, endpoints, moreEndpointCount } = response;
  const lines: string[] = [];
  if (service !== undefined) {
    const again = retry === undefined ? "" : `, ${retriesText(retry.retries, retry.mayRepeat)}`;
    lines.push(`Service: ${nameOf(service)}, ${service.protocol}${again}`);
  }
  if (pool === undefined) return lines;
  lines.push(poolText(pool));
  if (endpoints.length > 0) lines.push(...textTable(endpointRows(endpoints)));
  if (moreEndpointCount > 0) lines.push(`and ${moreEndpointCount} more`);
  return lines;
}

function retriesText(retries: number, mayRepeat: boolean): string {
  if (retries === 0) return "no retries";
  const what = mayRepeat ? "" : ", and none once a target may have read it";
  return `${retries} ${retries === 1 ? "retry" : "retries"} at most${what}`;
}

function poolText({
  name,
  isUpstream,
  algorithm,
  hashOn,
  hashValue,
  hashIsMissing,
  emptyBecause,
  inFlight,
  inFlightMax,
  queued,
  queueSize,
}: ExplainedPool): string {
  const hashed = hashIsMissing ? "which it has not" : hashValue === "" ? "" : JSON.stringify(hashValue);
  const facts = [
    algorithm,
    hashOn === "" ? "" : `by ${told(hashOn)} ${told(hashed)}`.trimEnd(),
    inFlightMax > 0 ? `${inFlight} of ${inFlightMax} under way` : "",
    queueSize > 0 ? `${queued} of ${queueSize} waiting` : "",
    emptyBecause === "no_targets" ? "it has no targets" : emptyBecause === "" ? "" : "its names have no address",
  ];
  return `${isUpstream ? "Upstream" : "Host"}: ${[told(name), ...facts].filter((fact) => fact !== "").join(", ")}`;
}

function endpointRows(endpoints: readonly ExplainedEndpoint[]): readonly (readonly string[])[] {
  const { priority, isLocal } = endpoints[0]!;
  const rows = [columns, ...endpoints.map(endpointRow)];
  if (endpoints.every((each) => each.priority === priority && each.isLocal === isLocal)) return rows;
  const places = [tierColumns, ...endpoints.map((each) => [String(each.priority), each.isLocal ? "near" : "other"])];
  return rows.map((row, i) => row.toSpliced(3, 0, ...places[i]!));
}

function endpointRow(endpoint: ExplainedEndpoint): readonly string[] {
  const { picked, next, address, target, weight, share, isIn, role, source, reason, since, ramp } = endpoint;
  const { inFlight, inFlightMax } = endpoint;
  const state = `${isIn ? "in" : "out"}${role === "" || role === "in_use" || role === "out" ? "" : ` (${role})`}`;
  return [
    picked ? "=>" : next ? "2." : "",
    address === "" ? "none" : address,
    told(target),
    ramp < 1 ? `${weight} (${Math.round(ramp * 100)} %)` : String(weight),
    `${Math.round(share * 1_000) / 10} %`,
    inFlightMax > 0 ? `${inFlight} of ${inFlightMax}` : String(inFlight),
    state,
    source,
    oneLine(reason, reasonMaxLength),
    since === undefined ? "" : timestampDate(since).toISOString(),
  ];
}

function rewrittenLines(rewritten: RewrittenRequest | undefined): readonly string[] {
  if (rewritten === undefined) return [];
  const { address, isSecure, method, target, host, headers } = rewritten;
  return [
    `Sent to ${address}${isSecure ? " over TLS" : ""}:`,
    `  ${method} ${told(target)} HTTP/1.1`,
    `  Host: ${told(host)}`,
    ...headers.map(({ name, value }) => `  ${told(name)}: ${told(value)}`),
  ];
}

function nameOf({ id, name }: { readonly id: string; readonly name: string }): string {
  return name === "" ? id : told(name);
}

function told(text: string): string {
  return oneLine(text, textMaxLength);
}
