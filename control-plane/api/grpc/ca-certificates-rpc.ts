import type { ServiceImpl } from "@connectrpc/connect";
import type { CaCertificatesAPI } from "../../../proto/gen/penstock/admin/v1/ca_certificates_pb.ts";
import { CaCertificateSchema } from "../../../proto/gen/penstock/config/v1/certificate_pb.ts";
import type { ResourceAdmin } from "../../admin/resource-admin.ts";
import type { Store } from "../../store/store.ts";
import { listQuery } from "./list-query.ts";
import { toConnectError } from "./to-connect-error.ts";
import { watchChanges } from "./watch-changes-rpc.ts";
import { createDraft, updateDraft } from "./write-request.ts";

/** gRPC face of CA certificates. Translates only; the rules live in admin/. Errors of each method: ca_certificates.proto. */
export function caCertificatesRpc(
  admin: ResourceAdmin<"ca_certificate">,
  store: Store,
): ServiceImpl<typeof CaCertificatesAPI> {
  const kind = "ca_certificate";
  return {
    async createCaCertificate(request) {
      const created = await admin.create(createDraft(CaCertificateSchema, request.caCertificate!));
      if (!created.ok) throw toConnectError(created.problems, { kind, key: request.caCertificate?.id });
      const { resource, revision, warnings } = created.value;
      return { caCertificate: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    getCaCertificate(request) {
      const found = admin.get({ key: request.id });
      if (!found.ok) throw toConnectError(found.problems, { kind, key: request.id });
      return { caCertificate: found.value };
    },

    listCaCertificates(request) {
      const listed = admin.list(listQuery(request));
      if (!listed.ok) throw toConnectError(listed.problems, { kind });
      return { caCertificates: [...listed.value.rows], nextPageToken: listed.value.nextPageToken ?? "" };
    },

    async updateCaCertificate(request) {
      const caCertificate = request.caCertificate!;
      const asked = updateDraft(CaCertificateSchema, caCertificate, undefined, request.updateMask);
      if (!asked.ok) throw toConnectError(asked.problems, { kind });
      const { key, draft } = asked.value;
      const updated = await admin.update({ key }, draft);
      if (!updated.ok) throw toConnectError(updated.problems, { kind, key });
      const { resource, revision, warnings } = updated.value;
      return { caCertificate: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    async deleteCaCertificate(request) {
      const removed = await admin.remove({ key: request.id }, request.etag || undefined);
      if (!removed.ok) throw toConnectError(removed.problems, { kind, key: request.id });
      return { revision: BigInt(removed.value.revision) };
    },

    async *watchCaCertificates(request, context) {
      const fromRevision = Number(request.fromRevision);
      for await (const seen of watchChanges(store, { kind, fromRevision, signal: context.signal }))
        yield { kind: seen.change, caCertificate: seen.resource, revision: BigInt(seen.revision) };
    },
  };
}
