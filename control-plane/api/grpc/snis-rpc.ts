import type { ServiceImpl } from "@connectrpc/connect";
import type { SnisAPI } from "../../../proto/gen/penstock/admin/v1/snis_pb.ts";
import { SniSchema } from "../../../proto/gen/penstock/config/v1/certificate_pb.ts";
import type { ResourceAdmin } from "../../admin/resource-admin.ts";
import type { Store } from "../../store/store.ts";
import { listQuery } from "./list-query.ts";
import { toConnectError } from "./to-connect-error.ts";
import { watchChanges } from "./watch-changes-rpc.ts";
import { createDraft, updateDraft } from "./write-request.ts";

/** gRPC face of server names. Translates only; the rules live in admin/. Errors of each method: snis.proto. */
export function snisRpc(admin: ResourceAdmin<"sni">, store: Store): ServiceImpl<typeof SnisAPI> {
  const kind = "sni";
  return {
    async createSni(request) {
      const created = await admin.create(createDraft(SniSchema, request.sni!));
      if (!created.ok) throw toConnectError(created.problems, { kind, key: request.sni?.name });
      const { resource, revision, warnings } = created.value;
      return { sni: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    getSni(request) {
      const found = admin.get({ key: request.idOrName });
      if (!found.ok) throw toConnectError(found.problems, { kind, key: request.idOrName });
      return { sni: found.value };
    },

    listSnis(request) {
      const listed = admin.list(listQuery(request));
      if (!listed.ok) throw toConnectError(listed.problems, { kind });
      return { snis: [...listed.value.rows], nextPageToken: listed.value.nextPageToken ?? "" };
    },

    async updateSni(request) {
      const sni = request.sni!;
      const asked = updateDraft(SniSchema, sni, sni.name, request.updateMask);
      if (!asked.ok) throw toConnectError(asked.problems, { kind });
      const { key, draft } = asked.value;
      const updated = await admin.update({ key }, draft);
      if (!updated.ok) throw toConnectError(updated.problems, { kind, key });
      const { resource, revision, warnings } = updated.value;
      return { sni: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    async deleteSni(request) {
      const removed = await admin.remove({ key: request.idOrName }, request.etag || undefined);
      if (!removed.ok) throw toConnectError(removed.problems, { kind, key: request.idOrName });
      return { revision: BigInt(removed.value.revision) };
    },

    async *watchSnis(request, context) {
      const fromRevision = Number(request.fromRevision);
      for await (const seen of watchChanges(store, { kind, fromRevision, signal: context.signal }))
        yield { kind: seen.change, sni: seen.resource, revision: BigInt(seen.revision) };
    },
  };
}
