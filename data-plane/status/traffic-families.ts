import { lossKinds, RouteCell, TargetCell } from "../proxy/traffic-metrics.ts";
import { bucketBoundsMs } from "../telemetry/histogram.ts";
import type { Labels, Metric, Sample } from "./metrics-text.ts";
import type { TrafficSum } from "./traffic-totals.ts";

/** The metrics of a node's traffic, by service and route, by upstream and target, and by worker. */
export function trafficFamilies(sum: TrafficSum): Metric[] {
  return [...routeFamilies(sum), ...targetFamilies(sum), ...connectionFamilies(sum), ...handshakeFamilies(sum)];
}

function routeFamilies({ routes }: TrafficSum): Metric[] {
  const requests: Sample[] = [];
  const durations: Sample[] = [];
  const latencies: Sample[] = [];
  const bytes: Sample[] = [];
  for (const { labels: values, cells } of routes.entries()) {
    const labels: Labels = [
      ["service", values[0]!],
      ["route", values[1]!],
    ];
    for (let answerClass = 0; answerClass < 5; answerClass++) {
      const value = cells[RouteCell.answers[answerClass]!]!;
      if (value > 0) requests.push({ labels: [...labels, ["class", `${answerClass + 1}xx`]], value });
    }
    durations.push(...histogram(labels, cells, RouteCell.duration, RouteCell.histogramStep));
    latencies.push(...histogram(labels, cells, RouteCell.upstreamLatency, RouteCell.histogramStep));
    bytes.push({ labels: [...labels, ["direction", "in"]], value: cells[RouteCell.bytesIn]! });
    bytes.push({ labels: [...labels, ["direction", "out"]], value: cells[RouteCell.bytesOut]! });
  }
  return [
    {
      name: "penstock_http_requests_total",
      type: "counter",
      help: "Requests that ended, by class of their answer's status.",
      samples: requests,
    },
    {
      name: "penstock_http_request_duration_seconds",
      type: "histogram",
      help: "From a request's head to the end of its answer.",
      samples: durations,
    },
    {
      name: "penstock_http_upstream_latency_seconds",
      type: "histogram",
      help: "From sending a request to a target to the head of its answer.",
      samples: latencies,
    },
    {
      name: "penstock_http_bytes_total",
      type: "counter",
      help: "Heads and bodies, as clients see them.",
      samples: bytes,
    },
  ];
}

/** The cells hold each bucket by itself; the text format wants each with all below it. @param step from cell to cell */
function histogram(labels: Labels, cells: Float64Array, at: number, step = 1): Sample[] {
  const samples: Sample[] = [];
  let count = 0;
  for (let bucket = 0; bucket <= bucketBoundsMs.length; bucket++) {
    count += cells[at + step * (1 + bucket)]!;
    const bound = bucketBoundsMs[bucket];
    const text = bound === undefined ? "+Inf" : String(bound / 1_000);
    samples.push({ suffix: "_bucket", labels: [...labels, ["le", text]], value: count });
  }
  if (count === 0) return [];
  samples.push({ suffix: "_sum", labels, value: cells[at]! / 1_000 });
  samples.push({ suffix: "_count", labels, value: count });
  return samples;
}

function handshakeFamilies({ handshakes, handshakeFailures }: TrafficSum): Metric[] {
  const durations: Sample[] = [];
  const failures: Sample[] = [];
  for (const { labels, cells } of handshakes.entries()) durations.push(...histogram([["kind", labels[0]!]], cells, 0));
  for (const { labels, cells } of handshakeFailures.entries()) {
    failures.push({ labels: [["reason", labels[0]!]], value: cells[0]! });
  }
  return [
    {
      name: "penstock_tls_handshake_duration_seconds",
      type: "histogram",
      help: "From the opening of a client's connection to the end of its TLS handshake; resumed is what needed no certificate.",
      samples: durations,
    },
    {
      name: "penstock_tls_handshake_failures_total",
      type: "counter",
      help: "Connections to a TLS port that did not become secure, by why.",
      samples: failures,
    },
  ];
}

function targetFamilies({ targets }: TrafficSum): Metric[] {
  const attempts: Sample[] = [];
  const ejections: Sample[] = [];
  const failures: Sample[] = [];
  for (const { labels: values, cells } of targets.entries()) {
    const labels: Labels = [
      ["upstream", values[0]!],
      ["target", values[1]!],
    ];
    attempts.push({ labels, value: cells[TargetCell.attempts]! });
    ejections.push({ labels, value: cells[TargetCell.ejections]! });
    for (const [index, reason] of lossKinds.entries()) {
      const value = cells[TargetCell.losses + index]!;
      if (value > 0) failures.push({ labels: [...labels, ["reason", reason]], value });
    }
  }
  return [
    {
      name: "penstock_target_attempts_total",
      type: "counter",
      help: "Attempts to have a request answered by a target.",
      samples: attempts,
    },
    {
      name: "penstock_target_failures_total",
      type: "counter",
      help: "Attempts that were lost, by how.",
      samples: failures,
    },
    {
      name: "penstock_target_ejections_total",
      type: "counter",
      help: "Times that a target was taken out of the rotation.",
      samples: ejections,
    },
  ];
}

function connectionFamilies({ upstreamConnections, connectionsByWorker }: TrafficSum): Metric[] {
  const upstream: Sample[] = [];
  for (const { labels, cells } of upstreamConnections.entries()) {
    const target = ["target", labels[0]!] as const;
    upstream.push({ labels: [target, ["state", "active"]], value: cells[0]! - cells[1]! });
    upstream.push({ labels: [target, ["state", "idle"]], value: cells[1]! });
  }
  return [
    {
      name: "penstock_upstream_connections",
      type: "gauge",
      help: "Connections to targets, by address.",
      samples: upstream,
    },
    {
      name: "penstock_worker_connections",
      type: "gauge",
      help: "Connections of clients, by worker.",
      samples: connectionsByWorker.map(([index, value]) => ({ labels: [["worker", String(index)]], value })),
    },
  ];
}
