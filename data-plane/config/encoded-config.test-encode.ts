import { ConfigContentWriter, type EncodedConfig } from "./encoded-config.ts";
import { TlsEncoder } from "./encoded-tls.ts";
import type { WorkerConfig } from "./worker-config.ts";

/** A config that a test has as a whole, as workers are sent it. */
export function encodeConfig({ routes, services, tls, ...config }: WorkerConfig): EncodedConfig {
  const content = new ConfigContentWriter();
  for (const service of services) content.addService(service);
  for (const route of routes) content.addRoute(route);
  return { ...config, content: content.finish(), tls: new TlsEncoder().encode(tls) };
}
