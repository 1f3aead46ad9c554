/** Aborted when the process is told to end, or when nobody reads what it prints: whoever does may have seen enough. */
export function untilStopped(): AbortSignal {
  const stopping = new AbortController();
  process.stdout.on("error", () => stopping.abort());
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stopping.abort());
  return stopping.signal;
}
