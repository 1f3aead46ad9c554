import { type Message, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { checkResource } from "../resource/check-resource.ts";
import type { Checked, Kind, Problem } from "../resource/checked.ts";
import type { Draft, ResourceOf } from "../resource/draft.ts";
import { mergeDraft } from "../resource/merge-draft.ts";
import { firstPerField } from "../resource/problems.ts";
import type { UniqueKey } from "../resource/resource-rules.ts";
import { keepMasked } from "../resource/secret-fields.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";
import { excessProblem } from "./excess-problem.ts";
import { resolveReferences } from "./resolve-references.ts";
import type { AdminContext, ResourceDefinition } from "./resource-definition.ts";

/** What a write is to make of which resource. */
export interface WriteRequest<K extends Kind> {
  readonly draft: Draft<ResourceOf[K]>;
  /** What the draft's paths are set on: the stored resource (update), or the defaults (create, replace). */
  readonly mode: "update" | "whole";
  /** What is there now; null when the write creates. */
  readonly stored: StoredResource<K> | null;
  readonly id: string;
  /** Fields that the request's address decides, over what the draft says. */
  readonly fixed: Partial<ResourceOf[K]>;
}

/** A write that is fine by all that is known, as the store takes it. */
export interface PreparedWrite<K extends Kind> {
  readonly write: ResourceWrite;
  /** What is written with it: fields that are resources of their own. */
  readonly also: readonly ResourceWrite[];
  /** What `write.body` holds. */
  readonly message: ResourceOf[K];
  /** What the write sets, with what follows from it. */
  readonly paths: readonly string[];
  readonly uniqueKeys: readonly UniqueKey[];
}

/** Set by the server, or said by the address: read by nobody in a draft. */
const serverSetPaths: ReadonlySet<string> = new Set(["id", "created_at", "updated_at", "etag", "cert_digest"]);

/** What a write is checked against. */
export interface WriteContext extends Pick<AdminContext, "clock" | "ownAddresses" | "limits"> {
  readonly store: { readonly image: ResourceImage };
}

/** Merges, completes and checks a write against the committed state: a write for the store, or every problem. */
export function prepareWrite<K extends Kind>(
  { store: { image }, clock, ownAddresses, limits }: WriteContext,
  definition: ResourceDefinition<K>,
  request: WriteRequest<K>,
): Checked<PreparedWrite<K>> {
  const nowMs = clock();
  const { rules } = definition;
  const { stored } = request;
  const base = request.mode === "update" && stored !== null ? stored.message : rules.defaults;
  const paths = request.draft.paths.filter((path) => !serverSetPaths.has(path));
  const asked = keepMasked(rules, { ...request.draft, paths }, stored?.message ?? null);
  const draft = rules.withImplied(asked, base === rules.defaults ? null : base);
  const merged = mergeDraft<Message>(rules.schema, base, draft);
  const complete = {
    ...(merged.message as ResourceOf[K]),
    id: request.id,
    ...timestamps(stored, nowMs),
    etag: "",
    ...request.fixed,
  };
  const resolved = resolveReferences(image, rules, rules.normalize(complete));
  const split = definition.split?.(resolved.message, paths, { image, nowMs });
  const message = split?.ok ? split.value.message : resolved.message;
  const uniqueKeys = rules.uniqueKeys(message);
  const problems = firstPerField([
    ...(request.draft.problems ?? []),
    ...merged.problems,
    ...checkResource(rules, resolved.message, { nowMs, stored: stored?.message ?? null, ownAddresses: ownAddresses() }),
    ...resolved.problems,
    ...(split?.ok === false ? split.problems : []),
    ...takenKeys(image, rules.kind, request, uniqueKeys),
  ]);
  if (problems.length > 0) return { ok: false, problems };
  const body = toBinary<typeof rules.schema>(rules.schema, message as never);
  const excess = excessProblem(image, limits, { kind: rules.kind, message, body, stored });
  if (excess !== null) return { ok: false, problems: [excess] };
  const write: ResourceWrite = {
    kind: rules.kind,
    id: request.id,
    operation: stored === null ? "create" : "update",
    body,
    expectedRevision: stored?.revision ?? null,
    uniqueKeys: uniqueKeys.map(({ key }) => key),
    references: resolved.references,
  };
  return {
    ok: true,
    value: { write, also: split?.ok ? split.value.writes : [], message, paths: draft.paths, uniqueKeys },
  };
}

/** When the resource was created and, always later than before, written. */
function timestamps(
  stored: StoredResource<Kind> | null,
  nowMs: number,
): { createdAt: Timestamp; updatedAt: Timestamp } {
  const before = stored?.message.updatedAt;
  // A clock that stands still or goes back must not make a newer write look older.
  const updatedMs = before === undefined ? nowMs : Math.max(nowMs, timestampMs(before) + 1);
  return { createdAt: stored?.message.createdAt ?? timestampFromMs(nowMs), updatedAt: timestampFromMs(updatedMs) };
}

/** The id and unique keys that another resource has. The store asks again, when the write commits. */
function takenKeys<K extends Kind>(
  image: ResourceImage,
  kind: K,
  { id, stored }: WriteRequest<K>,
  uniqueKeys: readonly UniqueKey[],
): readonly Problem[] {
  const problems: Problem[] = [];
  if (stored === null && image.get(kind, id) !== undefined) problems.push(duplicateId(id));
  for (const uniqueKey of uniqueKeys) {
    const owner = image.getByKey(kind, uniqueKey.key);
    if (owner !== undefined && owner.id !== id) problems.push(duplicateKey(uniqueKey));
  }
  return problems;
}

export function duplicateId(id: string): Problem {
  return { code: "duplicate_id", field: "id", message: `primary key violation on key '{id="${id}"}'` };
}

export function duplicateKey({ field, duplicateMessage }: UniqueKey): Problem {
  return { code: "duplicate_key", field, message: duplicateMessage };
}
