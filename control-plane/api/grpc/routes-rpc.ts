import type { ServiceImpl } from "@connectrpc/connect";
import type { RoutesAPI } from "../../../proto/gen/penstock/admin/v1/routes_pb.ts";
import { RouteSchema } from "../../../proto/gen/penstock/config/v1/route_pb.ts";
import type { ResourceAdmin } from "../../admin/resource-admin.ts";
import type { Store } from "../../store/store.ts";
import { listQuery } from "./list-query.ts";
import { toConnectError } from "./to-connect-error.ts";
import { watchChanges } from "./watch-changes-rpc.ts";
import { createDraft, updateDraft } from "./write-request.ts";

/** gRPC face of routes. Translates only; the rules live in admin/. Errors of each method: routes.proto. */
export function routesRpc(admin: ResourceAdmin<"route">, store: Store): ServiceImpl<typeof RoutesAPI> {
  const kind = "route";
  return {
    async createRoute(request) {
      const created = await admin.create(createDraft(RouteSchema, request.route!));
      if (!created.ok) throw toConnectError(created.problems, { kind, key: request.route?.name });
      const { resource, revision, warnings } = created.value;
      return { route: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    getRoute(request) {
      const found = admin.get({ key: request.idOrName });
      if (!found.ok) throw toConnectError(found.problems, { kind, key: request.idOrName });
      return { route: found.value };
    },

    listRoutes(request) {
      const listed = admin.list(listQuery(request));
      if (!listed.ok) throw toConnectError(listed.problems, { kind });
      return { routes: [...listed.value.rows], nextPageToken: listed.value.nextPageToken ?? "" };
    },

    async updateRoute(request) {
      const route = request.route!;
      const asked = updateDraft(RouteSchema, route, route.name, request.updateMask);
      if (!asked.ok) throw toConnectError(asked.problems, { kind });
      const { key, draft } = asked.value;
      const updated = await admin.update({ key }, draft);
      if (!updated.ok) throw toConnectError(updated.problems, { kind, key });
      const { resource, revision, warnings } = updated.value;
      return { route: resource, revision: BigInt(revision), warnings: [...warnings] };
    },

    async deleteRoute(request) {
      const removed = await admin.remove({ key: request.idOrName }, request.etag || undefined);
      if (!removed.ok) throw toConnectError(removed.problems, { kind, key: request.idOrName });
      return { revision: BigInt(removed.value.revision) };
    },

    async *watchRoutes(request, context) {
      const fromRevision = Number(request.fromRevision);
      for await (const seen of watchChanges(store, { kind, fromRevision, signal: context.signal }))
        yield { kind: seen.change, route: seen.resource, revision: BigInt(seen.revision) };
    },
  };
}
