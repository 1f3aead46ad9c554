import type { Store } from "../../store/store.ts";
import type { Fleet, NodeStatus } from "../../sync/fleet.ts";
import type { NodeState } from "../../sync/node-state.ts";
import type { Endpoint } from "./rest-answer.ts";

interface Metric {
  /** Without the prefix that all of ours have. */
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  /** By the value of `label`, or one. */
  readonly value: number | Readonly<Record<string, number>>;
  readonly label?: string;
}

const states: readonly NodeState[] = ["in_sync", "lagging", "disconnected", "stale"];

/** `GET /metrics`: the fleet in the text format of Prometheus, version 0.0.4; a number of series that does not grow with it. */
export function metricsRest(fleet: Fleet, store: Pick<Store, "image">): Endpoint {
  return () => {
    const text = fleetMetrics(fleet, store).map(metricText).join("");
    const type = "text/plain; version=0.0.4; charset=utf-8";
    return { status: 200, headers: { "Cache-Control": "no-store" }, bytes: { type, parts: [Buffer.from(text)] } };
  };
}

function fleetMetrics(fleet: Fleet, { image }: Pick<Store, "image">): readonly Metric[] {
  const nodes = fleet.nodes();
  const connected = nodes.filter(({ isConnected }) => isConnected);
  const countOf = (state: NodeState) => nodes.filter((node) => node.state === state).length;
  const maxOf = (figure: (node: NodeStatus) => number) =>
    connected.reduce((max, node) => Math.max(max, figure(node)), 0);
  return [
    {
      name: "nodes",
      type: "gauge",
      help: "Data planes by state.",
      label: "state",
      value: Object.fromEntries(states.map((state) => [state, countOf(state)])),
    },
    { name: "nodes_connected", type: "gauge", help: "Data planes with an open stream.", value: connected.length },
    {
      name: "nodes_too_old",
      type: "gauge",
      help: "Connected data planes that take no notice of parts of the configuration.",
      value: connected.filter(({ unsupported }) => unsupported.length > 0).length,
    },
    {
      name: "node_lag_publications_max",
      type: "gauge",
      help: "Publications that the connected data plane farthest behind is behind.",
      value: maxOf(({ lag }) => lag),
    },
    {
      name: "node_lag_seconds_max",
      type: "gauge",
      help: "For how long the connected data plane that is behind for longest is behind.",
      value: maxOf(({ lagMs }) => (lagMs ?? 0) / 1_000),
    },
    {
      name: "node_nacks_total",
      type: "counter",
      help: "Publications that data planes refused since the start.",
      value: fleet.nackCount,
    },
    { name: "publication", type: "gauge", help: "The newest publication.", value: image.publication },
    { name: "revision", type: "gauge", help: "The newest revision.", value: image.revision },
    {
      name: "resident_memory_bytes",
      type: "gauge",
      help: "Memory of the control plane.",
      value: process.memoryUsage.rss(),
    },
  ];
}

function metricText({ name, type, help, value, label = "" }: Metric): string {
  const full = `penstock_${name}`;
  const lines =
    typeof value === "number"
      ? `${full} ${value}\n`
      : Object.entries(value)
          .map(([key, one]) => `${full}{${label}="${key}"} ${one}\n`)
          .join("");
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines}`;
}
