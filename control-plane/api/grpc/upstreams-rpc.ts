import type { ServiceImpl } from "@connectrpc/connect";
import type { UpstreamsAPI } from "../../../proto/gen/penstock/admin/v1/upstreams_pb.ts";
import { UpstreamSchema } from "../../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { ResourceAdmin } from "../../admin/resource-admin.ts";
import type { Store } from "../../store/store.ts";
import { listQuery } from "./list-query.ts";
import { toConnectError } from "./to-connect-error.ts";
import { watchChanges } from "./watch-changes-rpc.ts";
import { createDraft, updateDraft } from "./write-request.ts";

/** gRPC face of upstreams. Translates only; the rules live in admin/. Errors of each method: upstreams.proto. */
export function upstreamsRpc(admin: ResourceAdmin<"upstream">, store: Store): ServiceImpl<typeof UpstreamsAPI> {
  const kind = "upstream";
  return {
    async createUpstream(request) {
      const created = await admin.create(createDraft(UpstreamSchema, request.upstream!));
      if (!created.ok) throw toConnectError(created.problems, { kind, key: request.upstream?.name });
      const { resource, revision, warnings } = created.value;
      return { upstream: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    getUpstream(request) {
      const found = admin.get({ key: request.idOrName });
      if (!found.ok) throw toConnectError(found.problems, { kind, key: request.idOrName });
      return { upstream: found.value };
    },

    listUpstreams(request) {
      const listed = admin.list(listQuery(request));
      if (!listed.ok) throw toConnectError(listed.problems, { kind });
      return { upstreams: [...listed.value.rows], nextPageToken: listed.value.nextPageToken ?? "" };
    },

    async updateUpstream(request) {
      const upstream = request.upstream!;
      const asked = updateDraft(UpstreamSchema, upstream, upstream.name, request.updateMask);
      if (!asked.ok) throw toConnectError(asked.problems, { kind });
      const { key, draft } = asked.value;
      const updated = await admin.update({ key }, draft);
      if (!updated.ok) throw toConnectError(updated.problems, { kind, key });
      const { resource, revision, warnings } = updated.value;
      return { upstream: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    async deleteUpstream(request) {
      const removed = await admin.remove({ key: request.idOrName }, request.etag || undefined);
      if (!removed.ok) throw toConnectError(removed.problems, { kind, key: request.idOrName });
      return { revision: BigInt(removed.value.revision) };
    },

    async *watchUpstreams(request, context) {
      const fromRevision = Number(request.fromRevision);
      for await (const seen of watchChanges(store, { kind, fromRevision, signal: context.signal }))
        yield { kind: seen.change, upstream: seen.resource, revision: BigInt(seen.revision) };
    },
  };
}
