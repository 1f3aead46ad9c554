import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type { TargetDrainSchema, TargetsAPI } from "../../../proto/gen/penstock/admin/v1/targets_pb.ts";
import { TargetSchema } from "../../../proto/gen/penstock/config/v1/target_pb.ts";
import { drainNeedsWeight0, drainTarget, notDrained, type Unfinished } from "../../admin/drain-target.ts";
import type { Admin } from "../../admin/resource-admin.ts";
import type { Store } from "../../store/store.ts";
import { systemClock } from "../../sync/clock.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { listQuery } from "./list-query.ts";
import { toBadRequest, toConnectError, toPlainError } from "./to-connect-error.ts";
import { watchChanges } from "./watch-changes-rpc.ts";
import { createDraft, updateDraft } from "./write-request.ts";

/** gRPC face of targets. Translates only; the rules live in admin/. Errors of each method: targets.proto. */
export function targetsRpc(
  admin: Pick<Admin, "target" | "upstream">,
  store: Store,
  fleet: Fleet,
): ServiceImpl<typeof TargetsAPI> {
  const kind = "target";
  return {
    async createTarget(request) {
      const created = await admin.target.create(createDraft(TargetSchema, request.target!), request.upstream);
      if (!created.ok) throw toConnectError(created.problems, { kind, key: request.target?.target });
      const { resource, revision, warnings } = created.value;
      return { target: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    getTarget(request) {
      const found = admin.target.get({ key: request.idOrTarget, parent: request.upstream });
      if (!found.ok) throw toConnectError(found.problems, { kind, key: request.idOrTarget });
      return { target: found.value };
    },

    listTargets(request) {
      const listed = admin.target.list({ ...listQuery(request), parent: request.upstream });
      if (!listed.ok) throw toConnectError(listed.problems, { kind });
      return { targets: [...listed.value.rows], nextPageToken: listed.value.nextPageToken ?? "" };
    },

    async updateTarget(request, { signal }) {
      const target = request.target!;
      const asked = updateDraft(TargetSchema, target, target.target, request.updateMask);
      if (!asked.ok) throw toConnectError(asked.problems, { kind });
      const { key, draft } = asked.value;
      if (request.drain !== undefined && !(draft.paths.includes("weight") && target.weight === 0))
        throw toBadRequest([{ field: "drain", description: drainNeedsWeight0 }]);
      const drained = drainOf(admin, fleet, { key, parent: request.upstream }, request.drain);
      const updated = await admin.target.update({ key, parent: request.upstream }, draft);
      if (!updated.ok) throw toConnectError(updated.problems, { kind, key });
      const { resource, revision, warnings } = updated.value;
      const drain = await drained(revision, signal);
      return { target: resource, revision: BigInt(revision), warnings: [...warnings], ...drain };
    },

    async deleteTarget(request, { signal }) {
      const key = { key: request.idOrTarget, parent: request.upstream };
      const drained = drainOf(admin, fleet, key, request.drain);
      const removed = await admin.target.remove(key, request.etag || undefined);
      if (!removed.ok) throw toConnectError(removed.problems, { kind, key: request.idOrTarget });
      const { revision } = removed.value;
      return { revision: BigInt(revision), ...(await drained(revision, signal)) };
    },

    async *watchTargets(request, context) {
      const upstream = admin.upstream.get({ key: request.upstream });
      if (!upstream.ok) throw toConnectError(upstream.problems, { kind: "upstream", key: request.upstream });
      const { id } = upstream.value;
      const fromRevision = Number(request.fromRevision);
      const isWanted = (target: { upstream?: { id: string } }) => target.upstream?.id === id;
      for await (const seen of watchChanges(store, { kind, fromRevision, isWanted, signal: context.signal }))
        yield { kind: seen.change, target: seen.resource, revision: BigInt(seen.revision) };
    },
  };
}

/** Nodes that an error names: gRPC clients take little of it. */
const namedMaxCount = 3;

type DrainFields = { readonly drain?: MessageInitShape<typeof TargetDrainSchema> };

/**
 * To be asked before a write that takes a target out of use: what is drained is the target as it was then. What it returns
 * waits after the write, if that was asked for, while the call is not over. Errors: DEADLINE_EXCEEDED, or how the call ended.
 */
function drainOf(
  admin: Pick<Admin, "target">,
  fleet: Fleet,
  key: { readonly key: string; readonly parent: string },
  drain: Duration | undefined,
): (revision: number, signal: AbortSignal) => Promise<DrainFields> {
  const before = drain === undefined ? null : admin.target.get(key);
  if (drain === undefined || before?.ok !== true) return async () => ({});
  const { upstream, target } = before.value;
  const asked = {
    upstreamId: upstream?.id ?? "",
    target,
    drainMs: durationMs(drain),
    startMs: systemClock.monotonicMs(),
  };
  return async (revision, signal) => {
    const drained = await drainTarget(fleet, systemClock, { ...asked, revision }, signal);
    if (drained.isHeldBack) return {};
    const { applied, askedCount, unfinished } = drained;
    if (unfinished.length > 0)
      throw toPlainError(Code.DeadlineExceeded, "not_drained", notDrainedText(asked.drainMs, unfinished));
    const { appliedCount, nodeCount } = applied;
    return { drain: { appliedCount, nodeCount, askedCount, drainedCount: askedCount } };
  };
}

function notDrainedText(drainMs: number, unfinished: readonly Unfinished[]): string {
  const named = unfinished
    .slice(0, namedMaxCount)
    .map(({ nodeId, inFlight, problem }) => `${nodeId}: ${problem ?? `${inFlight} under way`}`);
  const more = unfinished.length > named.length ? `, and ${unfinished.length - named.length} more` : "";
  return `${notDrained(`${drainMs} ms`)} (${named.join(", ")}${more})`;
}
