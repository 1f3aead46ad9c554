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

/** A metric of ours, its name in snake case without prefix and suffix, which is also all that its help says. */
export function ourMetric(name: string, type: Metric["type"], value: number): Metric {
  const words = name.replaceAll("_", " ");
  const help = `${words[0]!.toUpperCase()}${words.slice(1)}${type === "counter" ? " since the node started" : ""}.`;
  return { name: `penstock_${name}${type === "counter" ? "_total" : ""}`, type, help, value };
}
