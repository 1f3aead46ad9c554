import { isIP } from "node:net";
import type { HealthView } from "./health-check/endpoint-health.ts";
import type { HealthKeeper } from "./health-check/health-keeper.ts";
import type { ExplainedEndpoint, ExplainQuestion, Explanation, HeaderText } from "./proxy/explanation.ts";
import type { EndpointRows } from "./upstream/endpoint-rows.ts";

export interface ExplainQueryParts {
  readonly workers: { explain(question: ExplainQuestion): Promise<Explanation> };
  readonly health: Pick<HealthKeeper, "endpoints">;
  readonly rows: Pick<EndpointRows, "endpointAt">;
}

/** Said in sync.proto: a larger message would end the stream. */
const answerMaxBytes = 786_432;
const reasonMaxLength = 300;

/**
 * The answer to "explain" (sync.proto): what a worker would do with the request, and why endpoints are in or out, which
 * this thread alone knows.
 * Errors: rejects when the question is none, and when no worker can say.
 */
export async function answerExplain(parts: ExplainQueryParts, body: Uint8Array): Promise<Uint8Array> {
  const explanation = await parts.workers.explain(readQuestion(body));
  const answer = withHealth(parts, explanation);
  for (;;) {
    const bytes = Buffer.from(JSON.stringify(answer));
    if (bytes.length <= answerMaxBytes) return bytes;
    // Rare, and then the last half of a thousand endpoints is what can be missed.
    const kept = Math.floor(answer.endpoints.length / 2);
    answer.moreEndpointCount += answer.endpoints.length - kept;
    answer.endpoints = answer.endpoints.slice(0, kept);
    if (kept === 0) throw new Error("there is more to tell than a message holds");
  }
}

/** The answer's JSON: what a worker has told, and what is known of its endpoints. */
function withHealth({ health, rows }: ExplainQueryParts, explanation: Explanation) {
  const { pool, endpoints, publication, revision, ...rest } = explanation;
  const views = health.endpoints.all().filter(({ upstreamId }) => `upstream:${upstreamId}` === pool?.key);
  const viewByRow = new Map(views.map((view) => [view.row, view]));
  const resolved = endpoints.map(({ row, ...endpoint }) => {
    const owner = rows.endpointAt(row);
    const told = owner === null ? null : health.endpoints.toldOf(owner);
    return { ...endpoint, ...namesOf(viewByRow.get(row)), ...whyOf(told, endpoint.isIn) };
  });
  const { key: _, ...poolFacts } = pool ?? { key: "" };
  return {
    ...rest,
    // As proto3 JSON has 64 bits.
    ...{ publication: String(publication), revision: String(revision) },
    ...(pool === undefined ? {} : { pool: poolFacts }),
    endpoints: [...resolved, ...views.filter(({ row }) => row < 0).map(unresolvedEndpoint)],
  };
}

function namesOf(view: HealthView | undefined) {
  return view === undefined ? {} : { targetId: view.targetId, target: view.target };
}

/** Nothing of one that is in and was never judged. */
function whyOf(told: Pick<HealthView, "source" | "reason" | "sinceUnixMs"> | null, isIn: boolean) {
  if (told === null || (told.source === "" && isIn)) return {};
  const { source, reason, sinceUnixMs } = told;
  return {
    source,
    reason: reason.slice(0, reasonMaxLength).toWellFormed(),
    since: new Date(sinceUnixMs).toISOString(),
  };
}

function unresolvedEndpoint(view: HealthView): Omit<ExplainedEndpoint, "row"> & ReturnType<typeof namesOf> {
  const { weight, source, sinceUnixMs } = view;
  const reason = view.dns === "" ? view.reason : `${view.reason}: ${view.dns}`;
  return {
    ...{ address: "", weight, priority: 0, isLocal: true, inFlight: 0, inFlightMax: 0, ramp: 1, isIn: false },
    ...{ share: 0, picked: false, next: false, role: "out" },
    ...namesOf(view),
    ...whyOf({ source, reason, sinceUnixMs }, false),
  };
}

function readQuestion(body: Uint8Array): ExplainQuestion {
  const asked = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
  const { scheme, method, host, path, headers = [], clientAddress, sni = "" } = asked;
  const isText = (text: unknown): text is string => typeof text === "string";
  if (scheme !== "http" && scheme !== "https") throw new Error("its scheme is neither http nor https");
  if (!isText(method) || !isText(host) || !isText(path)) throw new Error("it has no method, host or path");
  if (!isText(clientAddress) || isIP(clientAddress) === 0) throw new Error("its clientAddress is none");
  if (!isText(sni) || !Array.isArray(headers) || !headers.every(isHeader))
    throw new Error("its sni or headers are none");
  const texts = headers.map(({ name, value = "" }) => ({ name, value }));
  return { scheme, method, host, path, headers: texts, clientAddress, sni: sni.toLowerCase() };
}

function isHeader(header: unknown): header is HeaderText {
  const { name, value } = (header ?? {}) as Record<string, unknown>;
  return typeof name === "string" && (value === undefined || typeof value === "string");
}
