import type { ServiceImpl } from "@connectrpc/connect";
import type { TargetsAPI } from "../../../proto/gen/penstock/admin/v1/targets_pb.ts";
import { TargetSchema } from "../../../proto/gen/penstock/config/v1/target_pb.ts";
import type { Admin } from "../../admin/resource-admin.ts";
import type { Store } from "../../store/store.ts";
import { listQuery } from "./list-query.ts";
import { toConnectError } from "./to-connect-error.ts";
import { watchChanges } from "./watch-changes-rpc.ts";
import { createDraft, updateDraft } from "./write-request.ts";

/** gRPC face of targets. Translates only; the rules live in admin/. Errors of each method: targets.proto. */
export function targetsRpc(admin: Pick<Admin, "target" | "upstream">, store: Store): ServiceImpl<typeof TargetsAPI> {
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

    async updateTarget(request) {
      const target = request.target!;
      const asked = updateDraft(TargetSchema, target, target.target, request.updateMask);
      if (!asked.ok) throw toConnectError(asked.problems, { kind });
      const { key, draft } = asked.value;
      const updated = await admin.target.update({ key, parent: request.upstream }, draft);
      if (!updated.ok) throw toConnectError(updated.problems, { kind, key });
      const { resource, revision, warnings } = updated.value;
      return { target: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    async deleteTarget(request) {
      const key = { key: request.idOrTarget, parent: request.upstream };
      const removed = await admin.target.remove(key, request.etag || undefined);
      if (!removed.ok) throw toConnectError(removed.problems, { kind, key: request.idOrTarget });
      return { revision: BigInt(removed.value.revision) };
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
