import type { Measurement } from "./measure.ts";
import { forwardedFields, strippedFields, type Workload } from "./workload.ts";

export interface SubjectFigures {
  readonly name: string;
  readonly version: string;
  /** Medians over the rounds. */
  readonly cpuUsPerRequest: number;
  /** Median over the rounds of this subject's CPU per request against nginx's in the same round. */
  readonly timesNginx: number | null;
  readonly requestsPerSecond: number;
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
      residentMb: rounded(median(measurements.map((one) => one.residentMb)), 0),
      rounds: rounds.map((us) => rounded(us, 2)),
      targetConnectionsMax: Math.max(...measurements.map((one) => one.targetConnections)),
      failed: measurements.reduce((sum, one) => sum + one.failed, 0),
    };
  });
}

export function checkValidity(
  subjects: readonly MeasuredSubject[],
  figures: readonly SubjectFigures[],
  workload: Workload,
  requestCount: number,
): ValidityCheck[] {
  const checks: ValidityCheck[] = [];
  const haproxy = figures.find(({ name }) => name === "haproxy");
  if (haproxy?.timesNginx != null) {
    const ratio = haproxy.timesNginx;
    checks.push({
      rule: "HAProxy/nginx is between 0.85 and 1.2",
      holds: ratio >= 0.85 && ratio <= 1.2,
      found: ratio.toFixed(2),
    });
  }
  for (const { name, targetConnectionsMax, failed } of figures) {
    const holds = targetConnectionsMax <= requestCount / 100;
    checks.push({
      rule: `${name} reuses its connections to the targets`,
      holds,
      found: `${targetConnectionsMax} opened for ${requestCount} requests`,
    });
    checks.push({ rule: `${name} answers every request`, holds: failed === 0, found: `${failed} failed` });
  }
  for (const subject of subjects) checks.push(checkShare(subject, workload), checkFields(subject));
  return checks;
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
    if (!head.startsWith("GET /answer HTTP/1.1\r\n")) problems.add("path not stripped");
  }
  return {
    rule: `${name} sets the forwarded fields, strips hop-by-hop ones and the route's prefix`,
    holds: problems.size === 0,
    found: problems.size === 0 ? "all" : [...problems].join(", "),
  };
}

export function tableOf(figures: readonly SubjectFigures[]): string {
  const rows = [
    ["subject", "CPU us/request", "x nginx", "requests/s", "RSS MB", "by round"],
    ...figures.map((one) => [
      one.name,
      one.cpuUsPerRequest.toFixed(1),
      one.timesNginx?.toFixed(2) ?? "-",
      String(one.requestsPerSecond),
      String(one.residentMb),
      one.rounds.map((us) => us.toFixed(1)).join(" "),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function rounded(number: number, digits: number): number {
  return Number(number.toFixed(digits));
}
