import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { ProtocolName } from "../config/worker-config.ts";

const NAMES: ReadonlyMap<Protocol, ProtocolName> = new Map<Protocol, ProtocolName>([
  [Protocol.HTTP, "http"],
  [Protocol.HTTPS, "https"],
  [Protocol.GRPC, "grpc"],
  [Protocol.GRPCS, "grpcs"],
  [Protocol.TCP, "tcp"],
  [Protocol.TLS, "tls"],
  [Protocol.UDP, "udp"],
  [Protocol.TLS_PASSTHROUGH, "tls_passthrough"],
]);

/** The worker's word for a protocol; null for one that this version does not know. */
export function protocolName(protocol: Protocol): ProtocolName | null {
  return NAMES.get(protocol) ?? null;
}
