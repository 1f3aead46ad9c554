import type { Duration } from "@bufbuild/protobuf/wkt";

const timeoutMaxMs = 2_147_483_646;

export const timeoutMessage = `must be between 1 ms and ${timeoutMaxMs} ms`;

/** A timeout in whole milliseconds, a started one counted as whole; null when it is out of range. */
export function wholeMs(duration: Duration): number | null {
  const ms = Number(duration.seconds) * 1000 + Math.ceil(duration.nanos / 1e6);
  return ms >= 1 && ms <= timeoutMaxMs ? ms : null;
}
