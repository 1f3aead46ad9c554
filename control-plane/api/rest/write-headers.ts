import type { Applied } from "../../sync/fleet.ts";

/** A warning of a write: what was stored but does not do what the client may expect. */
export interface WriteWarning {
  readonly field: string;
  readonly message: string;
}

/** Warnings printed; clients take about 16 KB of headers in all. */
const warningsMaxCount = 20;
const warningMaxLength = 400;

/**
 * The headers of an answer to a write: the revision it made, how many of the nodes serve it (absent when the client
 * did not want to wait), where it is if a rollout holds it back, and one Penstock-Warning for each warning.
 */
export function writeHeaders(
  revision: number,
  applied: Applied | null,
  warnings: readonly WriteWarning[],
): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { "Penstock-Revision": String(revision) };
  if (applied !== null) headers["Penstock-Applied"] = `${applied.appliedCount}/${applied.nodeCount}`;
  if (applied?.heldBack !== undefined) headers["Penstock-Rollout"] = applied.heldBack;
  return { ...headers, ...warningHeaders(warnings) };
}

/** One Penstock-Warning for each warning. */
export function warningHeaders(warnings: readonly WriteWarning[]): Record<string, string[]> {
  if (warnings.length === 0) return {};
  const lines = warnings.slice(0, warningsMaxCount).map(warningLine);
  if (warnings.length > warningsMaxCount) lines.push(`and ${warnings.length - warningsMaxCount} more`);
  return { "Penstock-Warning": lines };
}

function warningLine({ field, message }: WriteWarning): string {
  const line = headerSafe(field === "" ? message : `${field}: ${message}`);
  return line.length <= warningMaxLength ? line : `${line.slice(0, warningMaxLength - 3)}...`;
}

/** Percent-encodes what a header value cannot carry, and "%" itself so that it can be read back. */
function headerSafe(text: string): string {
  return text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]+/g, (unsafe) => encodeURIComponent(unsafe));
}
