import type { DescField } from "@bufbuild/protobuf";

/** Messages whose durations are in milliseconds: Kong's services, and records of our own. Elsewhere Kong knows seconds. */
const millisecondMessages: ReadonlySet<string> = new Set([
  "Service",
  "RouteLimits",
  "RetryPolicy",
  "OutlierPolicy",
  "StallPolicy",
  "FailoverPolicy",
  "SlowStartPolicy",
  "InFlightPolicy",
]);

/** The unit in which a client reads and writes a duration, and is told of its limits. */
export function durationUnit(field: DescField): "ms" | "s" {
  return millisecondMessages.has(field.parent.name) ? "ms" : "s";
}
