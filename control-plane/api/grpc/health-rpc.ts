import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../proto/gen/grpc/health/v1/health_pb.ts";
import { shortenText } from "./shorten-text.ts";

/**
 * grpc.health.v1: every service that is registered serves until the control plane shuts down. "" is the whole server.
 * @param shutdown aborted when the control plane begins to shut down
 */
export function healthRpc(serviceNames: ReadonlySet<string>, shutdown: AbortSignal): ServiceImpl<typeof Health> {
  const isKnown = (service: string) => service === "" || serviceNames.has(service);
  const statusNow = () => (shutdown.aborted ? Status.NOT_SERVING : Status.SERVING);
  return {
    check({ service }) {
      if (!isKnown(service)) throw new ConnectError(`unknown service "${shortenText(service, 240)}"`, Code.NotFound);
      return { status: statusNow() };
    },

    async *watch({ service }, { signal }) {
      // A service that is unknown now could not become known later: ours are fixed. The protocol wants the stream open.
      yield { status: isKnown(service) ? statusNow() : Status.SERVICE_UNKNOWN };
      // The call's own signal follows the shutdown signal, too.
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      if (!shutdown.aborted) throw signal.reason;
      if (isKnown(service)) yield { status: Status.NOT_SERVING };
    },
  };
}
