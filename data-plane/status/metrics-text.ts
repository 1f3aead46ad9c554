/** One metric without labels. */
export interface Metric {
  /** In the form that Prometheus asks for: snake case, with the unit, "_total" for counters. */
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly value: number;
}

/** Metrics in the text format of Prometheus, version 0.0.4. */
export function metricsText(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, type, help, value }) => {
      const escaped = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
      return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n${name} ${value}\n`;
    })
    .join("");
}

/** `requestsAnswered` as `penstock_requests_answered`; a trailing Count is what "_total" or a gauge's name says. */
export function metricName(camelCase: string, type: Metric["type"]): string {
  const words = camelCase.replace(/Count$/, "").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return `penstock_${words}${type === "counter" ? "_total" : ""}`;
}
