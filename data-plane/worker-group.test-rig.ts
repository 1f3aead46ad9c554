import { onTestFinished } from "vitest";
import { encodeConfig, wholeUpdate } from "./config/encoded-config.test-encode.ts";
import type { ConfigUpdate, EncodedConfig } from "./config/encoded-config.ts";
import { noTls } from "./config/tls-config.ts";
import { testPool } from "./config/worker-config.test-entities.ts";
import type { EndpointSet, RouteConfig } from "./config/worker-config.ts";
import { NodeLoad } from "./listener/node-load.ts";
import { defaultClientLimits } from "./proxy/client-limits.ts";
import { systemTimers } from "./upstream/timers.ts";
import { WorkerGroup } from "./worker-group.ts";
import type { WorkerGroupOptions } from "./worker-group-options.ts";

/** Of a config, what stub workers look at: see worker-group.test-worker.ts. */
export function encoded(publication: number, behaviour = "serve", sets: readonly EndpointSet[] = []): EncodedConfig {
  const route = { name: behaviour, protocols: ["http"] as const } as unknown as RouteConfig;
  const pools = sets.map(({ poolKey }) => testPool({ key: poolKey }));
  const rest = { publication, revision: publication, services: [], tls: noTls };
  return encodeConfig({ ...rest, routes: [route], pools }, sets);
}

/** All of a config, for all workers. */
export function config(publication: number, behaviour = "serve"): ConfigUpdate {
  return wholeUpdate(encoded(publication, behaviour));
}

/** A change for those that serve, and all of it for those that begin. */
export function change(publication: number, behaviour = "serve"): ConfigUpdate {
  const whole = encoded(publication, behaviour);
  return { publication, change: { ...whole, isWhole: false }, whole: () => whole };
}

/** A group of stub workers, with what it tells in order; `until` waits for one of these. */
export function rig(given: Partial<WorkerGroupOptions> = {}) {
  const events: string[] = [];
  let wake = () => {};
  const tell = (event: string) => {
    events.push(event);
    wake();
  };
  const group = new WorkerGroup({
    entry: new URL("./worker-group.test-worker.ts", import.meta.url),
    count: 2,
    keepsSpare: false,
    waitsForConfig: false,
    acceptIn: "worker",
    reusePort: true,
    proxyHosts: ["127.0.0.1"],
    proxyPort: 0,
    tlsPlace: null,
    endpointTable: new SharedArrayBuffer(4),
    version: "0.0.0",
    onAccessLog: () => {},
    onEndpointBlock: () => {},
    settings: {
      workerCount: 2,
      trustedProxies: [],
      debugFrom: [],
      upstreamIdleTimeoutMs: 60_000,
      upstreamCaPems: null,
      accessLogSample: null,
      metricsSeriesMax: 10,
      limits: defaultClientLimits,
      tls: null,
      nodeLoad: NodeLoad.create(8).buffer,
    },
    resourceLimits: {},
    timers: systemTimers,
    answerTimeoutMs: 10_000,
    retireTimeoutMs: 1_000,
    onEndpoint(found) {
      if (found.type === "health") tell(`${found.flip} ${found.endpointRow} ${found.cause}`);
      if (found.type === "ejected") tell(`ejected ${found.poolKey} ${found.endpointRow} ${found.cause}`);
    },
    onLost: (number, cause) => tell(`lost ${number}: ${cause.split("\n")[0]}`),
    onReplaced: (number, reason) => tell(`replaced ${number}: ${reason}`),
    onExited: (number) => tell(`exited ${number}`),
    onUnfit: (publication) => tell(`unfit ${publication}`),
    onAcceptError: (error) => tell(`accept: ${error.message}`),
    ...given,
  });
  onTestFinished(() => group.close());
  async function until(pattern: RegExp): Promise<void> {
    while (!events.some((event) => pattern.test(event))) await new Promise<void>((resolve) => (wake = resolve));
  }
  return { group, events, until };
}
