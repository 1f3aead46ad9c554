import type { ServiceImpl } from "@connectrpc/connect";
import type { ServicesAPI } from "../../../proto/gen/penstock/admin/v1/services_pb.ts";
import { ServiceSchema } from "../../../proto/gen/penstock/config/v1/service_pb.ts";
import type { ResourceAdmin } from "../../admin/resource-admin.ts";
import type { Store } from "../../store/store.ts";
import { listQuery } from "./list-query.ts";
import { toConnectError } from "./to-connect-error.ts";
import { watchChanges } from "./watch-changes-rpc.ts";
import { createDraft, updateDraft } from "./write-request.ts";

/** gRPC face of services. Translates only; the rules live in admin/. Errors of each method: services.proto. */
export function servicesRpc(admin: ResourceAdmin<"service">, store: Store): ServiceImpl<typeof ServicesAPI> {
  const kind = "service";
  return {
    async createService(request) {
      const created = await admin.create(createDraft(ServiceSchema, request.service!));
      if (!created.ok) throw toConnectError(created.problems, { kind, key: request.service?.name });
      const { resource, revision, warnings } = created.value;
      return { service: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    getService(request) {
      const found = admin.get({ key: request.idOrName });
      if (!found.ok) throw toConnectError(found.problems, { kind, key: request.idOrName });
      return { service: found.value };
    },

    listServices(request) {
      const listed = admin.list(listQuery(request));
      if (!listed.ok) throw toConnectError(listed.problems, { kind });
      return { services: [...listed.value.rows], nextPageToken: listed.value.nextPageToken ?? "" };
    },

    async updateService(request) {
      const service = request.service!;
      const asked = updateDraft(ServiceSchema, service, service.name, request.updateMask);
      if (!asked.ok) throw toConnectError(asked.problems, { kind });
      const { key, draft } = asked.value;
      const updated = await admin.update({ key }, draft);
      if (!updated.ok) throw toConnectError(updated.problems, { kind, key });
      const { resource, revision, warnings } = updated.value;
      return { service: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    async deleteService(request) {
      const removed = await admin.remove({ key: request.idOrName }, request.etag || undefined);
      if (!removed.ok) throw toConnectError(removed.problems, { kind, key: request.idOrName });
      return { revision: BigInt(removed.value.revision) };
    },

    async *watchServices(request, context) {
      const fromRevision = Number(request.fromRevision);
      for await (const seen of watchChanges(store, { kind, fromRevision, signal: context.signal }))
        yield { kind: seen.change, service: seen.resource, revision: BigInt(seen.revision) };
    },
  };
}
