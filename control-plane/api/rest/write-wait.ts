import type { Applied, Fleet } from "../../sync/fleet.ts";
import { parseDuration } from "./parse-duration.ts";

/** How long a write waits for the nodes before it answers. */
export type WriteWait =
  | { readonly type: "none" }
  | { readonly type: "nodes"; readonly who: "keeping-up" | "all"; readonly timeoutMs: number };

export type ParsedWait =
  | { readonly ok: true; readonly wait: WriteWait }
  | { readonly ok: false; readonly message: string };

/** A write without `?wait=` waits this long, for the nodes that keep up. */
const defaultWait: WriteWait = { type: "nodes", who: "keeping-up", timeoutMs: 1000 };

const appliedDefaultMs = 5000;
const timeoutMaxMs = 60 * 60 * 1000;

/** Reads `?wait=applied&timeout=30s` and `?wait=none`. */
export function parseWait(params: URLSearchParams): ParsedWait {
  const wait = params.get("wait");
  const timeout = params.get("timeout");
  if (timeout !== null && wait !== "applied") return { ok: false, message: "timeout needs wait=applied" };
  switch (wait) {
    case null:
      return { ok: true, wait: defaultWait };
    case "none":
      return { ok: true, wait: { type: "none" } };
    case "applied":
      return parseTimeout(timeout);
    default:
      return { ok: false, message: "wait must be 'applied' or 'none'" };
  }
}

function parseTimeout(text: string | null): ParsedWait {
  if (text === null) return { ok: true, wait: { type: "nodes", who: "all", timeoutMs: appliedDefaultMs } };
  const timeoutMs = parseDuration(text);
  if (timeoutMs > 0 && timeoutMs <= timeoutMaxMs) return { ok: true, wait: { type: "nodes", who: "all", timeoutMs } };
  return { ok: false, message: "timeout must be a time from 1ms to 60m, such as 500ms, 30s or 2m" };
}

/** Waits as asked, while the caller is there; null when asked not to. @param signal the caller has gone */
export async function waitForNodes(
  fleet: Fleet,
  revision: number,
  wait: WriteWait,
  signal: AbortSignal,
): Promise<Applied | null> {
  if (wait.type === "none") return null;
  return fleet.waitForRevision(revision, { who: wait.who, timeoutMs: wait.timeoutMs, signal });
}
