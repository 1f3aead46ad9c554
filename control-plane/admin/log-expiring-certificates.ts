import { type NearExpiry, nearExpiries } from "../resource/certificate-expiry.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import type { Clock } from "../sync/clock.ts";
import type { Log } from "../telemetry/log.ts";

const dayMs = 24 * 60 * 60 * 1_000;

/** Lines a day; a forgotten thousand must not fill the log. */
const linesMaxCount = 100;

export interface ExpiryLog {
  readonly image: ResourceImage;
  readonly clock: Pick<Clock, "unixMs" | "after">;
  readonly log: Pick<Log, "warn">;
}

/**
 * Warns, now and once a day, of every certificate that ends within 30 days or has ended. Returns the way to stop.
 * Cost: some 50 us for each certificate.
 */
export function startExpiryLog({ image, clock, log }: ExpiryLog): () => void {
  let cancel = () => {};
  const turn = () => {
    warnOfExpiring(image, clock.unixMs(), log);
    cancel = clock.after(dayMs, turn);
  };
  turn();
  return () => cancel();
}

function warnOfExpiring(image: ResourceImage, nowMs: number, log: Pick<Log, "warn">): void {
  let lineCount = 0;
  const warn = (fields: object, { field, notAfterMs, dayCount }: NearExpiry) => {
    if (lineCount++ >= linesMaxCount) return;
    const message = notAfterMs < nowMs ? "a certificate has expired" : "a certificate expires soon";
    log.warn({ ...fields, field, not_after: new Date(notAfterMs).toISOString(), days: dayCount }, message);
  };
  for (const { id, message } of image.all("certificate")) {
    for (const expiry of nearExpiries(message, nowMs)) {
      const names = [...image.referrers("sni", "certificate", id)].map((sni) => sni.message.name);
      warn({ certificate: id, server_names: names.slice(0, 10) }, expiry);
    }
  }
  for (const { id, message } of image.all("ca_certificate"))
    for (const expiry of nearExpiries(message, nowMs)) warn({ ca_certificate: id }, expiry);
  if (lineCount > linesMaxCount)
    log.warn({ count: lineCount - linesMaxCount }, "and more certificates that expire soon or have expired");
}
