import type { QuarantineStatus, Quarantines } from "../../admin/quarantines.ts";
import type { JsonObject } from "./print-resource.ts";
import { type Answer, messageAnswer, type RestRequest } from "./rest-answer.ts";
import type { RestRoute } from "./rest-routes.ts";

/** Paths of our own: what is in quarantine, and its release. JSON, and times in ISO 8601. */
export function quarantineRoutes(quarantines: Quarantines): Readonly<Record<string, RestRoute>> {
  return {
    "/quarantines": { GET: () => ({ status: 200, body: { data: quarantines.list().map(printQuarantine) } }) },
    "/quarantines/:key": { DELETE: (request) => release(quarantines, request) },
  };
}

async function release(quarantines: Quarantines, { params }: RestRequest): Promise<Answer> {
  const released = await quarantines.release(params["key"] ?? "");
  if (released.ok) return { status: 204, headers: { "Penstock-Revision": String(released.value.revision) } };
  const problem = released.problems[0]!;
  return messageAnswer(problem.code === "not_found" ? 404 : 503, problem.message);
}

function printQuarantine(status: QuarantineStatus): JsonObject {
  return {
    id: status.id,
    reason: status.reason,
    field: status.field,
    message: status.message,
    publication: status.publication,
    kept_publication: status.keptPublication,
    node_ids: status.nodeIds,
    since: new Date(status.sinceUnixMs).toISOString(),
    entities: status.entities.map(({ kind, id, name, refusedRevision, isServed, servedRevision, isDependant }) => ({
      ...{ kind, id, name: name === "" ? null : name },
      refused_revision: refusedRevision,
      served: isServed ? "last_good" : "none",
      served_revision: servedRevision === 0 ? null : servedRevision,
      depends: isDependant,
    })),
  };
}
