import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type QuarantinesAPI, ServedVersion } from "../../../proto/gen/penstock/admin/v1/quarantines_pb.ts";
import type { Quarantines } from "../../admin/quarantines.ts";

/** gRPC face of what is in quarantine. */
export function quarantinesRpc(quarantines: Quarantines): ServiceImpl<typeof QuarantinesAPI> {
  return {
    listQuarantines() {
      const all = quarantines.list().map(({ sinceUnixMs, publication, keptPublication, nodeIds, ...status }) => ({
        ...status,
        publication: BigInt(publication),
        keptPublication: BigInt(keptPublication),
        nodeIds: [...nodeIds],
        since: timestampFromMs(sinceUnixMs),
        entities: status.entities.map(({ refusedRevision, servedRevision, isServed, isDependant, ...entity }) => ({
          ...entity,
          refusedRevision: BigInt(refusedRevision),
          servedRevision: BigInt(servedRevision),
          served: isServed ? ServedVersion.LAST_GOOD : ServedVersion.NONE,
          depends: isDependant,
        })),
      }));
      return { quarantines: all };
    },
    async releaseQuarantine({ id }) {
      const released = await quarantines.release(id);
      if (!released.ok) {
        const problem = released.problems[0]!;
        throw new ConnectError(problem.message, problem.code === "not_found" ? Code.NotFound : Code.Unavailable);
      }
      return { revision: BigInt(released.value.revision) };
    },
  };
}
