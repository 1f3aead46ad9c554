export type Labels = readonly (readonly [name: string, value: string])[];

/** One value of a metric with labels. */
export interface Sample {
  /** What a histogram puts behind the metric's name. Default: "". */
  readonly suffix?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** A metric with one value, or with one for each combination of its labels. */
export interface Metric {
  /** In the form that Prometheus asks for: snake case, with the unit, "_total" for counters. */
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly value?: number;
  readonly samples?: readonly Sample[];
}

/** Metrics in the text format of Prometheus, version 0.0.4. */
export function metricsText(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, type, help, value, samples = [] }) => {
      const escaped = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
      const lines = value === undefined ? "" : `${name} ${value}\n`;
      return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n${lines}${samples.map((one) => sampleLine(name, one)).join("")}`;
    })
    .join("");
}

function sampleLine(name: string, { suffix = "", labels, value }: Sample): string {
  const pairs = labels.map(([label, text]) => `${label}="${labelText(text)}"`).join(",");
  return `${name}${suffix}{${pairs}} ${value}\n`;
}

/** The format has an escape for three characters; the other controls would reach whoever looks at the page. */
function labelText(text: string): string {
  if (/^[ !#-[\]-~]*$/.test(text)) return text;
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", "\\n")
    .replaceAll(/\p{Cc}/gu, "\ufffd");
}

/** A metric of ours, its name in snake case without prefix and suffix, which is also all that its help says. */
export function ourMetric(name: string, type: "counter" | "gauge", value: number): Metric {
  const words = name.replaceAll("_", " ");
  const help = `${words[0]!.toUpperCase()}${words.slice(1)}${type === "counter" ? " since the node started" : ""}.`;
  return { name: `penstock_${name}${type === "counter" ? "_total" : ""}`, type, help, value };
}
