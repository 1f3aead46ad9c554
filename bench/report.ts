import type { Measurement } from "./measure.ts";
import { median, rounded } from "./statistics.ts";
import { forwardedFields, strippedFields, type Workload } from "./workload.ts";

export interface SubjectFigures {
  readonly name: string;
  readonly version: string;
  /** Medians over the rounds. */
  readonly cpuUsPerRequest: number;
  /** Median over the rounds of this subject's CPU per request against nginx's in the same round. */
  readonly timesNginx: number | null;
  readonly requestsPerSecond: number;
  readonly latencyMs: Measurement["latencyMs"];
  readonly residentMb: number;
  /** CPU per request, us, by round. */
  readonly rounds: readonly number[];
  /** Most connections opened to the targets during one measurement. */
  readonly targetConnectionsMax: number;
  readonly failed: number;
}

/** Something that must hold for the figures to mean anything. */
export interface ValidityCheck {
  readonly rule: string;
  readonly holds: boolean;
  readonly found: string;
}

export interface MeasuredSubject {
  readonly name: string;
  readonly version: string;
  /** By round. */
  readonly measurements: readonly Measurement[];
}

/** A workload's result, as its file holds it. */
export interface WorkloadResult {
  readonly workload: string;
  readonly title: string;
  readonly commit: string;
  readonly date: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string };
  readonly node: string;
  readonly requestsPerMeasurement: number;
  readonly connections: number;
  readonly isValid: boolean;
  readonly validity: readonly ValidityCheck[];
  readonly subjects: readonly SubjectFigures[];
  readonly notMeasured: readonly { readonly name: string; readonly reason: string }[];
}

export function figuresOf(subjects: readonly MeasuredSubject[]): SubjectFigures[] {
  const nginx = subjects.find(({ name }) => name === "nginx");
  return subjects.map(({ name, version, measurements }) => {
    const rounds = measurements.map(({ cpuUsPerRequest }) => cpuUsPerRequest);
    const ratios = nginx ? rounds.map((us, round) => us / nginx.measurements[round]!.cpuUsPerRequest) : null;
    return {
      name,
      version,
      cpuUsPerRequest: rounded(median(rounds), 2),
      timesNginx: ratios && rounded(median(ratios), 3),
      requestsPerSecond: rounded(median(measurements.map((one) => one.requestsPerSecond)), 0),
      latencyMs: latencyOf(measurements),
      residentMb: rounded(median(measurements.map((one) => one.residentMb)), 0),
      rounds: rounds.map((us) => rounded(us, 2)),
      targetConnectionsMax: Math.max(...measurements.map((one) => one.targetConnections)),
      failed: measurements.reduce((sum, one) => sum + one.failed, 0),
    };
  });
}

function latencyOf(measurements: readonly Measurement[]): Measurement["latencyMs"] {
  const latencies = measurements.map(({ latencyMs }) => latencyMs).filter((latency) => latency !== null);
  if (latencies.length === 0) return null;
  return {
    p50: rounded(median(latencies.map(({ p50 }) => p50)), 2),
    p99: rounded(median(latencies.map(({ p99 }) => p99)), 2),
  };
}

export function checkValidity(
  subjects: readonly MeasuredSubject[],
  figures: readonly SubjectFigures[],
  workload: Workload,
  requestCount: number,
): ValidityCheck[] {
  const checks: ValidityCheck[] = [];
  const haproxy = figures.find(({ name }) => name === "haproxy");
  // The two are known to cost the same on this one: where they do not, the machine was busy with something else.
  if (workload.name === "W1" && haproxy?.timesNginx != null) {
    const ratio = haproxy.timesNginx;
    checks.push({
      rule: "HAProxy/nginx is between 0.85 and 1.2",
      holds: ratio >= 0.85 && ratio <= 1.2,
      found: ratio.toFixed(2),
    });
  }
  for (const { name, targetConnectionsMax, failed } of figures) {
    checks.push({
      rule: `${name} reuses its connections to the targets`,
      holds: targetConnectionsMax <= requestCount / 100,
      found: `${targetConnectionsMax} opened for ${requestCount} requests`,
    });
    checks.push({ rule: `${name} answers every request`, holds: failed === 0, found: `${failed} failed` });
  }
  for (const subject of subjects) {
    if (isWeighted(subject, workload)) checks.push(checkShare(subject, workload));
    checks.push(checkFields(subject));
    if (workload.requestBodyBytes > 0) checks.push(checkBodies(subject, workload));
    if (subject.measurements.some(({ loggedLines }) => loggedLines !== null))
      checks.push(checkLog(subject, requestCount));
    if (workload.isTls && workload.shape.kind === "new-connections") {
      checks.push(checkResumption(subject, workload.shape.resumes === true));
    }
    if (workload.shape.kind === "fixed-rate") checks.push(checkRate(subject, workload.shape.perSecond));
  }
  return checks;
}

function checkResumption({ name, measurements }: MeasuredSubject, resumes: boolean): ValidityCheck {
  const shares = measurements.map(({ resumedPerRequest }) => resumedPerRequest);
  return {
    rule: `${name} ${resumes ? "resumes nearly every session" : "makes a full handshake every time"}`,
    holds: shares.every((share) => (resumes ? share > 0.98 : share === 0)),
    found: shares.map((share) => `${(share * 100).toFixed(1)} % resumed`).join(", "),
  };
}

/** Algorithms other than round-robin do not go by weights alone. */
function isWeighted({ name }: MeasuredSubject, { contestants }: Workload): boolean {
  return contestants.find((one) => one.name === name)?.upstream["algorithm"] === undefined;
}

/** Proxies start anew somewhere in their wheel: over a measurement the shares are close, not exact. */
function checkShare({ name, measurements }: MeasuredSubject, { targetWeights }: Workload): ValidityCheck {
  const wanted = targetWeights[0] / (targetWeights[0] + targetWeights[1]);
  const shares = measurements.map(({ firstTargetShare }) => firstTargetShare);
  return {
    rule: `${name} gives the first target ${(wanted * 100).toFixed(1)} % of the requests`,
    holds: shares.every((share) => Math.abs(share - wanted) < 0.01),
    found: shares.map((share) => `${(share * 100).toFixed(1)} %`).join(", "),
  };
}

function checkFields({ name, measurements }: MeasuredSubject): ValidityCheck {
  const problems = new Set<string>();
  for (const head of measurements.flatMap(({ forwardedHeads }) => forwardedHeads)) {
    const lines = head.split("\r\n").slice(1);
    const names = lines.map((line) => line.slice(0, line.indexOf(":")).toLowerCase());
    for (const field of forwardedFields) if (!names.includes(field)) problems.add(`no ${field}`);
    for (const field of strippedFields) if (names.includes(field)) problems.add(`${field} passed on`);
    if (!/^\w+ \/answer HTTP\/1\.1\r\n/.test(head)) problems.add("path not stripped");
  }
  return {
    rule: `${name} sets the forwarded fields, strips hop-by-hop ones and the route's prefix`,
    holds: problems.size === 0,
    found: problems.size === 0 ? "all" : [...problems].join(", "),
  };
}

function checkBodies({ name, measurements }: MeasuredSubject, { requestBodyBytes }: Workload): ValidityCheck {
  const bytes = measurements.map(({ bodyBytesPerRequest }) => bodyBytesPerRequest);
  return {
    rule: `${name} forwards bodies whole`,
    holds: bytes.every((count) => count === requestBodyBytes),
    found: bytes.map((count) => `${rounded(count, 1)} bytes per request`).join(", "),
  };
}

function checkLog({ name, measurements }: MeasuredSubject, requestCount: number): ValidityCheck {
  const lines = measurements.map(({ loggedLines }) => loggedLines);
  return {
    rule: `${name} logs every request`,
    holds: lines.every((count) => count === requestCount),
    found: `${lines.join(", ")} of ${requestCount}`,
  };
}

function checkRate({ name, measurements }: MeasuredSubject, perSecond: number): ValidityCheck {
  const rates = measurements.map(({ requestsPerSecond }) => requestsPerSecond);
  return {
    rule: `${name} keeps up with ${perSecond} requests/s`,
    holds: rates.every((rate) => Math.abs(rate / perSecond - 1) < 0.02),
    found: rates.map((rate) => rate.toFixed(0)).join(", "),
  };
}

/** Heading and rows of a table of the figures. */
export function figureRows(figures: readonly SubjectFigures[]): string[][] {
  const hasLatency = figures.some(({ latencyMs }) => latencyMs !== null);
  const latencyCells = ({ latencyMs }: SubjectFigures) => [
    latencyMs?.p50.toFixed(2) ?? "-",
    latencyMs?.p99.toFixed(2) ?? "-",
  ];
  const latencyHeads = hasLatency ? ["p50 ms", "p99 ms"] : [];
  return [
    ["subject", "CPU us/request", "x nginx", ...latencyHeads, "requests/s", "RSS MB", "by round"],
    ...figures.map((one) => [
      one.name,
      one.cpuUsPerRequest.toFixed(1),
      one.timesNginx?.toFixed(2) ?? "-",
      ...(hasLatency ? latencyCells(one) : []),
      String(one.requestsPerSecond),
      String(one.residentMb),
      one.rounds.map((us) => us.toFixed(1)).join(" "),
    ]),
  ];
}
