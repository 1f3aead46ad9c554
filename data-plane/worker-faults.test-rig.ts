import { encodeConfig, wholeUpdate } from "./config/encoded-config.test-encode.ts";
import type { EncodedConfig } from "./config/encoded-config.ts";
import { noTls, type TlsConfig } from "./config/tls-config.ts";
import type { TlsSettings } from "./config/tls-settings.ts";
import { testEndpoint, testPool, testSet } from "./config/worker-config.test-entities.ts";
import type { EndpointConfig, EndpointSet, PoolConfig, ServiceConfig } from "./config/worker-config.ts";
import { NodeLoad } from "./listener/node-load.ts";
import { answerText, openBackend, routeDefaults, serviceDefaults } from "./listener/proxy-server.test-rig.ts";
import { defaultClientLimits } from "./proxy/client-limits.ts";
import { EndpointTotals } from "./telemetry/endpoint-totals.ts";
import { EndpointTable } from "./upstream/endpoint-table.ts";
import { systemTimers } from "./upstream/timers.ts";
import { WorkerGroup } from "./worker-group.ts";
import { workerNumbers } from "./worker-set.ts";

export interface WorkersRigOptions {
  /** Accepting in main deals connections to the two workers in turn. */
  readonly acceptIn: "main" | "worker";
  readonly answerTimeoutMs?: number;
  /** How long a worker that is replaced may take to finish what it has. */
  readonly retireTimeoutMs?: number;
  /** Takes connections over TLS as well. */
  readonly tls?: { readonly settings: TlsSettings; readonly config: TlsConfig };
  /** What is said of the upstream, and of its endpoint. */
  readonly pool?: Partial<PoolConfig>;
  readonly service?: Partial<ServiceConfig>;
  readonly endpoint?: Partial<EndpointConfig>;
  /** Default: "ok", at once. */
  readonly answer?: Parameters<typeof openBackend>[0];
}

const ok: Parameters<typeof openBackend>[0] = (_, socket) => void setImmediate(() => socket.write(answerText("ok")));

/** Two real workers and a spare before a backend. They do what worker-faults.test-worker.ts is told to. */
export async function openWorkers(options: WorkersRigOptions) {
  const { acceptIn, answerTimeoutMs = 30_000, retireTimeoutMs = 5_000, tls } = options;
  const backend = await openBackend(options.answer ?? ok);
  const table = EndpointTable.create({ endpointRowsMax: 8, poolRowsMax: 2, columnsMax: workerNumbers(2) });
  const endpoint = { row: table.allocateEndpointRow()!, address: "127.0.0.1", port: backend.port };
  const sets: EndpointSet[] = [testSet([testEndpoint({ ...endpoint, weight: 100, ...options.endpoint })])];
  const pools = [testPool({ poolRow: table.allocatePoolRow()!, ...options.pool })];
  const services = [{ ...serviceDefaults, ...options.service }];
  const head = { publication: 1, revision: 1, routes: [routeDefaults], tls: tls?.config ?? noTls };
  const config = encodeConfig({ ...head, services, pools }, sets);
  const totals = new EndpointTotals();
  const events: string[] = [];
  let wake = () => {};
  const tell = (event: string) => {
    events.push(event);
    wake();
  };
  const group = new WorkerGroup({
    entry: new URL("./worker-faults.test-worker.ts", import.meta.url),
    count: 2,
    keepsSpare: true,
    waitsForConfig: false,
    acceptIn,
    reusePort: true,
    proxyHosts: ["127.0.0.1"],
    proxyPort: 0,
    tlsPlace: tls === undefined ? null : { hosts: ["127.0.0.1"], port: 0 },
    endpointTable: table.buffer,
    version: "0.0.0",
    settings: {
      workerCount: 2,
      trustedProxies: [],
      debugFrom: [],
      upstreamIdleTimeoutMs: 60_000,
      upstreamCaPems: null,
      accessLogSample: null,
      metricsSeriesMax: 10,
      limits: defaultClientLimits,
      tls: tls?.settings ?? null,
      nodeLoad: NodeLoad.create(workerNumbers(2)).buffer,
    },
    resourceLimits: { maxOldGenerationSizeMb: 64 },
    timers: systemTimers,
    answerTimeoutMs,
    retireTimeoutMs,
    onAccessLog: () => {},
    onEndpointBlock: (number, index, buffer) => totals.add(number, index, buffer),
    onEndpoint: () => {},
    onLost: (number, cause) => tell(`lost ${number}: ${cause.split("\n")[0]}`),
    onReplaced: (number, reason) => tell(`replaced ${number}: ${reason}`),
    onExited(number) {
      table.clearColumn(number);
      totals.keep(number);
      tell(`exited ${number}`);
    },
    onUnfit: () => {},
    onAcceptError: (error) => tell(String(error)),
  });
  const port = await group.start();
  const delivered = await group.deliver(wholeUpdate(config));
  if (!delivered.ok) throw new Error(delivered.message);
  // The spare has started, and has the config.
  await group.caughtUp();
  const until = async (pattern: RegExp) => {
    while (!events.some((event) => pattern.test(event))) await new Promise<void>((resolve) => (wake = resolve));
  };
  const close = async () => {
    group.close();
    await backend.close();
  };
  const deliver = async (next: Partial<EncodedConfig>) => {
    const outcome = await group.deliver(wholeUpdate({ ...config, ...next }));
    if (!outcome.ok) throw new Error(outcome.message);
  };
  return { group, table, totals, backend, port, events, until, deliver, close };
}

/** Has a worker do what it never should. */
export function cause(worker: number, fault: "throws" | "runs out of memory" | "loops for ever"): void {
  const channel = new BroadcastChannel("worker-faults");
  channel.postMessage({ worker, fault });
  channel.close();
}

/** Has a worker stand still, and throw when it is released; resolves when it stands still. */
export async function stall(worker: number): Promise<{ release(): void }> {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const channel = new BroadcastChannel("worker-faults");
  channel.postMessage({ worker, fault: "stalls and throws", gate });
  channel.close();
  await Atomics.waitAsync(gate, 0, 0).value;
  return {
    release() {
      Atomics.store(gate, 1, 1);
      Atomics.notify(gate, 1);
    },
  };
}
