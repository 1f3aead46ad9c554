import type { Duration } from "@bufbuild/protobuf/wkt";
import { Protocol, type Service } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { defaultBalancing } from "../config/balancing-config.ts";
import { defaultResilience } from "../config/resilience-config.ts";
import type { ProtocolName, ServiceConfig } from "../config/worker-config.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import { defaultSlots } from "./compile-upstream.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";
import { parseHost } from "./host-and-port.ts";
import { protocolName } from "./protocol-name.ts";
import { timeoutMessage, wholeMs } from "./whole-ms.ts";

/** A service whose pool is not yet placed among the pools. */
export interface ServicePlan extends Omit<ServiceConfig, "poolIndex"> {
  /** The pool of the service's own host, for when no upstream has that name. */
  readonly hostPool: PoolPlan;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const RETRIES_MAX = 32_767;
/** Among equals any weight will do; this is the one that targets have by default. */
const HOST_WEIGHT = 100;

/** A service as workers get it, or the first thing in it that they could not work with. */
export function compileService(service: Service): Compiled<Omit<ServicePlan, "tls">> {
  const protocol = protocolName(service.protocol ?? Protocol.HTTP);
  if (protocol === null) return invalid("protocol", `unknown protocol number ${service.protocol}`);
  const host = parseHost(service.host);
  if (host === null) return invalid("host", `not a hostname or an IP address: ${JSON.stringify(service.host)}`);
  const port = service.port ?? 80;
  if (port < 0 || port > 65_535) return invalid("port", `${port} is not between 0 and 65535`);
  if (service.path !== undefined && !/^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/.test(service.path)) {
    return invalid("path", 'must begin with "/" and hold visible ASCII without "?" and "#"');
  }
  const retries = service.retries ?? 5;
  if (retries < 0 || retries > RETRIES_MAX) return invalid("retries", `${retries} is not between 0 and ${RETRIES_MAX}`);
  const connectTimeoutMs = timeoutMs(service.connectTimeout);
  const writeTimeoutMs = timeoutMs(service.writeTimeout);
  const readTimeoutMs = timeoutMs(service.readTimeout);
  if (connectTimeoutMs === null) return invalid("connect_timeout", timeoutMessage);
  if (writeTimeoutMs === null) return invalid("write_timeout", timeoutMessage);
  if (readTimeoutMs === null) return invalid("read_timeout", timeoutMessage);
  return compiled({
    id: service.id,
    name: service.name ?? null,
    protocol,
    isProtocolSupported: protocol === "http" || protocol === "https",
    path: service.path ?? null,
    retries,
    connectTimeoutMs,
    writeTimeoutMs,
    readTimeoutMs,
    hostPool: hostPool(host, port, protocol),
  });
}

function timeoutMs(duration: Duration | undefined): number | null {
  return duration === undefined ? DEFAULT_TIMEOUT_MS : wholeMs(duration);
}

function hostPool(host: string, port: number, protocol: ProtocolName): PoolPlan {
  const impliedPort = protocol === "https" || protocol === "grpcs" ? 443 : 80;
  return {
    // Services of another implied port send another Host, so they may share a pool only where that is the same.
    key: impliedPort === 80 ? `host:${host}:${port}` : `host:${host}:${port}:tls`,
    name: host,
    hostHeader: null,
    isUpstream: false,
    algorithm: "round-robin",
    balancing: defaultBalancing,
    resilience: defaultResilience,
    passive: null,
    activeCheck: null,
    overrides: [],
    weightBasis: "per_address",
    usesSrvName: false,
    slots: defaultSlots,
    members: [{ targetId: "", host, port, weight: HOST_WEIGHT, priority: 0, zone: null, maxInFlight: 0, impliedPort }],
  };
}
