import type { EndpointRows } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { Timers } from "../upstream/timers.ts";

export interface DrainedQueryOptions {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly timers: Timers;
}

interface DrainedQuestion {
  readonly upstreamId: string;
  /** As it was configured. */
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
}

const lookIntervalMs = 20;
const timeoutMaxMs = 3_600_000;

/**
 * The answer to "drained" (sync.proto): resolves when nothing is under way at a target that gets no new requests, or
 * when the time is over. Rows are kept for minutes after a target has gone, so what it has under way is still counted.
 * Errors: rejects when the question is none, when the target gets requests again, and with the signal's reason.
 * @param signal nobody waits for the answer any more
 */
export async function answerDrained(
  { table, rows, timers }: DrainedQueryOptions,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<{ readonly inFlight: number }> {
  const { upstreamId, host, port, timeoutMs } = readQuestion(body);
  const endsAtMs = timers.nowMs() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const asked = rows.rowsOf(`upstream:${upstreamId}`, host, port);
    if (asked.some((row) => rows.endpointAt(row) !== null)) throw new Error("the target gets requests");
    const inFlight = asked.reduce((sum, row) => sum + table.inFlight(row), 0);
    const leftMs = endsAtMs - timers.nowMs();
    if (inFlight === 0 || leftMs <= 0) return { inFlight };
    await new Promise<void>((resolve) => timers.after(Math.min(lookIntervalMs, leftMs), resolve));
  }
}

function readQuestion(body: Uint8Array): DrainedQuestion {
  const { upstreamId, target, timeoutMs } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
  const match = /^(.+):([0-9]{1,5})$/.exec(typeof target === "string" ? target : "");
  if (typeof upstreamId !== "string" || match === null || typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
    throw new Error("not an upstreamId, a target host:port and a timeoutMs");
  }
  const host = match[1]!.replace(/^\[(.*)\]$/, "$1");
  return { upstreamId, host, port: Number(match[2]), timeoutMs: Math.min(timeoutMs, timeoutMaxMs) };
}
