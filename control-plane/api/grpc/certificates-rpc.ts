import type { ServiceImpl } from "@connectrpc/connect";
import type { CertificatesAPI } from "../../../proto/gen/penstock/admin/v1/certificates_pb.ts";
import { CertificateSchema } from "../../../proto/gen/penstock/config/v1/certificate_pb.ts";
import type { ResourceAdmin } from "../../admin/resource-admin.ts";
import type { Store } from "../../store/store.ts";
import { listQuery } from "./list-query.ts";
import { shownSecrets } from "./secrets-context.ts";
import { toConnectError } from "./to-connect-error.ts";
import { watchChanges } from "./watch-changes-rpc.ts";
import { createDraft, updateDraft } from "./write-request.ts";

/** gRPC face of certificates. Translates only; the rules live in admin/. Errors of each method: certificates.proto. */
export function certificatesRpc(
  admin: ResourceAdmin<"certificate">,
  store: Store,
): ServiceImpl<typeof CertificatesAPI> {
  const kind = "certificate";
  return {
    async createCertificate(request) {
      const created = await admin.create(createDraft(CertificateSchema, request.certificate!));
      if (!created.ok) throw toConnectError(created.problems, { kind, key: request.certificate?.id });
      const { resource, revision, warnings } = created.value;
      return { certificate: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    getCertificate(request, context) {
      const access = { withSecrets: context.values.get(shownSecrets).ofOne };
      const found = admin.get({ key: request.idOrServerName }, access);
      if (!found.ok) throw toConnectError(found.problems, { kind, key: request.idOrServerName });
      return { certificate: found.value };
    },

    listCertificates(request, context) {
      const withSecrets = context.values.get(shownSecrets).inLists;
      const listed = admin.list({ ...listQuery(request), withSecrets });
      if (!listed.ok) throw toConnectError(listed.problems, { kind });
      return { certificates: [...listed.value.rows], nextPageToken: listed.value.nextPageToken ?? "" };
    },

    async updateCertificate(request) {
      const certificate = request.certificate!;
      const asked = updateDraft(CertificateSchema, certificate, undefined, request.updateMask);
      if (!asked.ok) throw toConnectError(asked.problems, { kind });
      const { key, draft } = asked.value;
      const updated = await admin.update({ key }, draft);
      if (!updated.ok) throw toConnectError(updated.problems, { kind, key });
      const { resource, revision, warnings } = updated.value;
      return { certificate: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    async deleteCertificate(request) {
      const removed = await admin.remove({ key: request.idOrServerName }, request.etag || undefined);
      if (!removed.ok) throw toConnectError(removed.problems, { kind, key: request.idOrServerName });
      return { revision: BigInt(removed.value.revision) };
    },

    async *watchCertificates(request, context) {
      const fromRevision = Number(request.fromRevision);
      for await (const seen of watchChanges(store, { kind, fromRevision, signal: context.signal }))
        yield { kind: seen.change, certificate: seen.resource, revision: BigInt(seen.revision) };
    },
  };
}
