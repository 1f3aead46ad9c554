import type { X509Certificate } from "node:crypto";
import { readCertificates } from "./pem.ts";
import type { Warning } from "./stored-only-warnings.ts";

const dayMs = 24 * 60 * 60 * 1_000;

/** Time before its end in which a certificate is warned of. */
const soonMs = 30 * dayMs;

/** The end of a certificate that is near or past. */
export interface NearExpiry {
  /** "cert" or "cert_alt". */
  readonly field: string;
  readonly notAfterMs: number;
  /** Whole days that are left; negative when it is over. */
  readonly dayCount: number;
}

/** Those of a resource's certificates that end within 30 days, or have ended; of a chain, the first counts. */
export function nearExpiries(
  resource: { readonly cert: string; readonly certAlt?: string | undefined },
  nowMs: number,
): readonly NearExpiry[] {
  const texts = [
    { field: "cert", pem: resource.cert },
    { field: "cert_alt", pem: resource.certAlt ?? "" },
  ];
  return texts.flatMap(({ field, pem }) => {
    const leaf = firstOf(pem);
    if (leaf === null) return [];
    const notAfterMs = leaf.validToDate.getTime();
    if (notAfterMs - nowMs > soonMs) return [];
    return [{ field, notAfterMs, dayCount: Math.floor((notAfterMs - nowMs) / dayMs) }];
  });
}

/** The same as warnings of a write. */
export function expiryWarnings(resource: Parameters<typeof nearExpiries>[0], nowMs: number): readonly Warning[] {
  return nearExpiries(resource, nowMs).map(({ field, notAfterMs, dayCount }) => {
    const instant = new Date(notAfterMs).toISOString();
    const message = notAfterMs < nowMs ? `expired at ${instant}` : `expires at ${instant}, in ${days(dayCount)}`;
    return { field, message };
  });
}

function days(count: number): string {
  if (count === 0) return "less than a day";
  return count === 1 ? "1 day" : `${count} days`;
}

function firstOf(pem: string): X509Certificate | null {
  const read = pem === "" ? null : readCertificates(pem);
  return read?.ok ? read.value[0] : null;
}
