import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { ConfigAPI } from "../../../proto/gen/penstock/admin/v1/config_pb.ts";
import type { Store } from "../../store/store.ts";
import type { Fleet } from "../../sync/fleet.ts";

const defaultTimeoutMs = 5000;

/** gRPC face of what is about the whole configuration. */
export function configRpc(store: Store, fleet: Fleet): ServiceImpl<typeof ConfigAPI> {
  return {
    async waitForRevision(request, context) {
      const revision = Number(request.revision);
      if (revision > store.image.revision)
        throw new ConnectError(`revision ${request.revision} has not been made yet`, Code.OutOfRange);
      const timeoutMs = request.timeout === undefined ? defaultTimeoutMs : durationMs(request.timeout);
      const waited = fleet.waitForRevision(revision, { who: "all", timeoutMs });
      const { appliedCount, nodeCount } = await Promise.race([waited, rejectedOnAbort(context.signal)]);
      return { revision: request.revision, appliedCount, nodeCount };
    },
  };
}

/** Rejects with the signal's reason: the client cancelled, its deadline is over, or the control plane shuts down. */
function rejectedOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    // The signal lives as long as the call, and the listener with it.
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
