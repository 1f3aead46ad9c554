import type { Quarantines } from "../../admin/quarantines.ts";
import type { Admin, ResourceAdmin, ResourceKey, Written } from "../../admin/resource-admin.ts";
import { caCertificateDigest } from "../../resource/ca-certificate.ts";
import type { Checked, Kind, Problem } from "../../resource/checked.ts";
import type { Draft, ResourceOf } from "../../resource/draft.ts";
import { normalizeTarget } from "../../resource/target.ts";
import { isUuid } from "../../resource/text-rules.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { decodeResource } from "./decode-resource.ts";
import { formToJson } from "./form-to-json.ts";
import { keepFinerDurations, mayHaveFinerDurations } from "./keep-finer-durations.ts";
import { kongShapes } from "./kong-shape.ts";
import { pageAnswer, parseListQuery } from "./list-query.ts";
import { type JsonObject, printResource } from "./print-resource.ts";
import { patchedNotFoundAnswer, problemAnswer } from "./problem-answer.ts";
import { type Answer, type Endpoint, messageAnswer, type RestRequest } from "./rest-answer.ts";
import { type WriteWarning, warningHeaders, writeHeaders } from "./write-headers.ts";
import { parseWait, waitForNodes } from "./write-wait.ts";

/** Kong's ways to one kind of resource. `:key` and, below a parent, `:parent` are the path's parameters. */
export interface ResourceEndpoints {
  readonly list: Endpoint;
  readonly create: Endpoint;
  /** Creates one that the resource `:key`, of another kind, refers to from then on. */
  readonly createFor: (referrer: Kind) => Endpoint;
  readonly get: Endpoint;
  readonly replace: Endpoint;
  readonly update: Endpoint;
  readonly remove: Endpoint;
}

interface KindFace<K extends Kind> {
  readonly kind: K;
  readonly resources: ResourceAdmin<K>;
  readonly admin: Admin;
  readonly fleet: Fleet;
  readonly quarantine: QuarantineFace;
}

/** What a client is told beside a resource of which nodes have refused something. */
export interface QuarantineFace {
  readonly quarantines: Pick<Quarantines, "warnings" | "refusals">;
  readonly clock: { unixMs(): number };
}

/** Kong-compatible REST face of one kind. Translates only; the rules live in admin/. */
export function resourceRest<K extends Kind>(
  kind: K,
  admin: Admin,
  fleet: Fleet,
  quarantine: QuarantineFace,
): ResourceEndpoints {
  const face: KindFace<K> = { kind, resources: admin[kind] as ResourceAdmin<K>, admin, fleet, quarantine };
  return {
    list: (request) => listResources(face, request),
    create: (request) => createResource(face, request),
    createFor: (referrer) => (request) => createForReferrer(face, referrer, request),
    get: (request) => getResource(face, request),
    // Kong's PUT of a target changes what is named and creates nothing; its clients fall back to POST on the 404.
    replace: (request) => (kind === "target" ? updateResource(face, request) : replaceResource(face, request)),
    update: (request) => updateResource(face, request),
    remove: (request) => removeResource(face, request),
  };
}

function listResources<K extends Kind>(face: KindFace<K>, request: RestRequest): Answer {
  const parsed = parseListQuery(request.query);
  if (!parsed.ok) return parsed.answer;
  const { parent } = request.params;
  const query = { ...parsed.query, withSecrets: request.secrets().inLists };
  const page = face.resources.list(parent === undefined ? query : { ...query, parent });
  if (!page.ok) return problemAnswer(face.kind, page.problems);
  const rows = page.value.rows.map((row) => printResource(face.kind, row));
  return pageAnswer(request.path, request.query, rows, page.value.nextPageToken);
}

function getResource<K extends Kind>(face: KindFace<K>, request: RestRequest): Answer {
  const found = face.resources.get(resourceKey(request), { withSecrets: request.secrets().ofOne });
  if (!found.ok) return problemAnswer(face.kind, found.problems);
  const headers = warningHeaders(face.quarantine.quarantines.warnings(face.kind, found.value.id));
  return { status: 200, headers, body: printResource(face.kind, found.value) };
}

function createResource<K extends Kind>(face: KindFace<K>, request: RestRequest): Promise<Answer> {
  return saveResource(face, request, {
    status: 201,
    json: requestJson(face.kind, request),
    save: (draft) => face.resources.create(draft, request.params["parent"]),
  });
}

/** As Kong's PUT to what a resource does not refer to yet: 200, and an id of ours. */
function createForReferrer<K extends Kind>(face: KindFace<K>, kind: Kind, request: RestRequest): Promise<Answer> {
  const { id: _, ...json } = requestJson(face.kind, request);
  const { key } = resourceKey(request);
  return saveResource(face, request, {
    status: 200,
    json,
    save: (draft) => face.resources.createFor({ kind, key }, draft),
  });
}

function replaceResource<K extends Kind>(face: KindFace<K>, request: RestRequest): Promise<Answer> {
  const key = resourceKey(request);
  return saveResource(face, request, {
    status: 200,
    ...overStored(face, request),
    save: (draft) => face.resources.replace(key, draft),
  });
}

async function updateResource<K extends Kind>(face: KindFace<K>, request: RestRequest): Promise<Answer> {
  const key = resourceKey(request);
  const answer = await saveResource(face, request, {
    status: 200,
    ...overStored(face, request),
    save: (draft) => face.resources.update(key, draft),
  });
  const isAbsent = answer.status === 404 && key.parent === undefined && !isServerName(face.kind, key.key);
  return isAbsent ? patchedNotFoundAnswer(key.key) : answer;
}

async function removeResource<K extends Kind>(face: KindFace<K>, request: RestRequest): Promise<Answer> {
  const wait = parseWait(request.query);
  if (!wait.ok) return messageAnswer(400, wait.message);
  const key = resourceKey(request);
  const removed = await face.resources.remove(key);
  if (removed.ok) {
    const applied = await waitForNodes(face.fleet, removed.value.revision, wait.wait, request.signal);
    return { status: 204, headers: writeHeaders(removed.value.revision, applied, []) };
  }
  // What is not there is as the client wants it, says Kong, but only at the top level.
  const isAbsent =
    key.parent === undefined &&
    !isServerName(face.kind, key.key) &&
    removed.problems.every((problem) => problem.code === "not_found");
  return isAbsent ? { status: 204 } : problemAnswer(face.kind, removed.problems);
}

/** Whether a certificate is asked for by a server name: Kong says of an unknown one in its own words that it is. */
function isServerName(kind: Kind, key: string): boolean {
  return kind === "certificate" && !isUuid(key);
}

interface Save<K extends Kind> {
  readonly status: number;
  readonly json: JsonObject;
  /** What the face itself has to say about the body. */
  readonly warnings?: readonly WriteWarning[];
  save(draft: Draft<ResourceOf[K]>): Promise<Checked<Written<ResourceOf[K]>>>;
}

/** What every write with a body does: read the query and the body, save, wait for the nodes, print. */
async function saveResource<K extends Kind>(face: KindFace<K>, request: RestRequest, save: Save<K>): Promise<Answer> {
  const wait = parseWait(request.query);
  if (!wait.ok) return messageAnswer(400, wait.message);
  const draft = decodeResource(face.kind, save.json);
  const startUnixMs = face.quarantine.clock.unixMs();
  const written = await save.save(draft);
  if (!written.ok) {
    const problems = withoutConsequences(written.problems, draft.problems ?? []);
    return problemAnswer(face.kind, problems, takenValues(face, request, draft));
  }
  const { resource, revision, warnings } = written.value;
  const applied = await waitForNodes(face.fleet, revision, wait.wait, request.signal);
  const refusals =
    applied === null || applied.appliedCount === applied.nodeCount
      ? []
      : face.quarantine.quarantines.refusals(face.kind, resource.id, startUnixMs);
  const headers = writeHeaders(revision, applied, [...refusals, ...warnings, ...(save.warnings ?? [])]);
  return { status: save.status, headers, body: printResource(face.kind, resource) };
}

function resourceKey({ params }: RestRequest): ResourceKey {
  const key = params["key"] ?? "";
  return params["parent"] === undefined ? { key } : { key, parent: params["parent"] };
}

/** The body as JSON, whatever it came as. */
function requestJson(kind: Kind, { body }: RestRequest): JsonObject {
  return body.type === "json" ? body.json : body.type === "form" ? formToJson(body.form, kongShapes[kind]) : {};
}

/**
 * The body of a write to something that may be there already. The path says which, so an id in the body is left out;
 * durations that Kong's clients cannot say keep their stored value.
 */
function overStored<K extends Kind>(
  face: KindFace<K>,
  request: RestRequest,
): Required<Pick<Save<K>, "json" | "warnings">> {
  const { id: _, ...json } = requestJson(face.kind, request);
  if (!mayHaveFinerDurations(face.kind)) return { json, warnings: [] };
  const stored = face.resources.get(resourceKey(request));
  if (!stored.ok) return { json, warnings: [] };
  const kept = keepFinerDurations(json, printResource(face.kind, stored.value));
  const warnings = kept.kept.map(({ field, ms }) => ({
    field,
    message: `kept at ${ms} ms; set ${field}_ms to change it, or to null for whole seconds`,
  }));
  return { json: kept.json, warnings };
}

/** The unique values that a write asked for, as stored: what Kong's answer repeats when another resource has them. */
function takenValues<K extends Kind>(
  face: KindFace<K>,
  { params }: RestRequest,
  draft: Draft<ResourceOf[K]>,
): JsonObject {
  const values = printResource(face.kind, draft.message);
  if (face.kind === "ca_certificate") return { ...values, cert_digest: caCertificateDigest(String(values["cert"])) };
  if (face.kind !== "target") return values;
  const upstream = face.admin.upstream.get({ key: params["parent"] ?? "" });
  return {
    ...values,
    target: normalizeTarget(String(values["target"])) ?? values["target"],
    upstream: upstream.ok ? { id: upstream.value.id } : null,
  };
}

/**
 * The problems without those that only follow from a value that could not be read: a field that is missing because one
 * of its items has the wrong type, or a combination of fields that is not met.
 */
function withoutConsequences(problems: readonly Problem[], unreadable: readonly Problem[]): readonly Problem[] {
  if (unreadable.length === 0) return problems;
  const isConsequence = ({ field }: Problem) =>
    field === "" || unreadable.some((problem) => problem.field.startsWith(`${field}.`));
  return problems.filter(
    (problem) => problem.code !== "invalid" || unreadable.includes(problem) || !isConsequence(problem),
  );
}
