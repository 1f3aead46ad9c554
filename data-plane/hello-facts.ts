import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { nodeCapabilities } from "./capabilities.ts";
import type { DataPlaneOptions } from "./options.ts";
import type { HelloFacts } from "./sync/sync-client-options.ts";

/** What this process says of itself to control planes, as long as it runs. */
export function helloFacts(
  { labels, zone }: DataPlaneOptions,
  nodeId: string,
  version: string,
  workerCount: number,
): HelloFacts {
  const shown = zone === null ? labels : { ...labels, zone };
  return {
    nodeId,
    hostname: hostname(),
    build: version,
    capabilities: nodeCapabilities,
    labels: shown,
    workerCount,
    instance: randomUUID(),
  };
}
