import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { ConfigAPI } from "../../../proto/gen/penstock/admin/v1/config_pb.ts";
import { exportSnapshot } from "../../snapshot/export-snapshot.ts";
import type { Store } from "../../store/store.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { shownSecrets } from "./secrets-context.ts";

const defaultTimeoutMs = 5000;

/** Of the file, in one message: far below what clients take by default. */
const messageMaxBytes = 1024 * 1024;

/** gRPC face of what is about the whole configuration. */
export function configRpc(store: Store, fleet: Fleet): ServiceImpl<typeof ConfigAPI> {
  return {
    async waitForRevision(request, context) {
      const revision = Number(request.revision);
      if (revision > store.image.revision)
        throw new ConnectError(`revision ${request.revision} has not been made yet`, Code.OutOfRange);
      const timeoutMs = request.timeout === undefined ? defaultTimeoutMs : durationMs(request.timeout);
      const { signal } = context;
      const wait = { who: "all", timeoutMs, signal } as const;
      const { appliedCount, nodeCount, heldBack = "" } = await fleet.waitForRevision(revision, wait);
      // The client cancelled, its deadline is over, or the control plane shuts down: how it stands is no answer then.
      signal.throwIfAborted();
      return { revision: request.revision, appliedCount, nodeCount, heldBack };
    },
    async *exportSnapshot({ labels }, context) {
      if (!context.values.get(shownSecrets).ofOne)
        throw new ConnectError("only callers on this machine may read private keys", Code.PermissionDenied);
      const { parts } = await exportSnapshot(store, labels);
      for (const part of parts)
        for (let at = 0; at < part.length; at += messageMaxBytes)
          yield { data: part.subarray(at, at + messageMaxBytes) };
    },
  };
}
