import { Agent, request } from "node:http";

/** What a run of requests came to. A close, a reset, a time-out and any status but 2xx count as failed. */
export interface LoadOutcome {
  sent: number;
  ok: number;
  failed: number;
  /** The first few failures, for the message of a failed assertion. */
  readonly failures: string[];
  /** Answers per `x-target`. */
  readonly perTarget: Map<string, number>;
  /** New TCP connections that were opened. */
  connections: number;
}

export interface RunningLoad {
  readonly outcome: LoadOutcome;
  /** Sends no more, waits for what is under way. */
  stop(): Promise<LoadOutcome>;
  /** Resolves when that many requests were answered or failed. */
  finished(count: number): Promise<void>;
}

/**
 * Sends requests at a steady rate over a fixed number of keep-alive connections and never retries: every request
 * that gets no 2xx counts. When all connections are busy, requests wait for one, as behind a real client pool.
 */
export function startRequestLoad(options: {
  port: number;
  path: string | (() => string);
  method?: string;
  body?: string;
  requestsPerSecond: number;
  connectionCount: number;
  clientTimeoutMs?: number;
}): RunningLoad {
  const outcome: LoadOutcome = { sent: 0, ok: 0, failed: 0, failures: [], perTarget: new Map(), connections: 0 };
  const agent = new Agent({ keepAlive: true, maxSockets: options.connectionCount, scheduling: "lifo" });
  const waiters: { count: number; resolve: () => void }[] = [];
  let underWay = 0;
  let onIdle: (() => void) | null = null;

  const done = (failure: string | null): void => {
    underWay--;
    if (failure === null) outcome.ok++;
    else {
      outcome.failed++;
      if (outcome.failures.length < 10) outcome.failures.push(failure);
    }
    for (const waiter of waiters.splice(0)) {
      if (outcome.ok + outcome.failed >= waiter.count) waiter.resolve();
      else waiters.push(waiter);
    }
    if (underWay === 0) onIdle?.();
  };

  const send = (): void => {
    outcome.sent++;
    underWay++;
    let isOver = false;
    const over = (failure: string | null) => {
      if (isOver) return;
      isOver = true;
      done(failure);
    };
    const path = typeof options.path === "string" ? options.path : options.path();
    const sent = request(
      {
        port: options.port,
        host: "127.0.0.1",
        path,
        method: options.method ?? "GET",
        agent,
        timeout: options.clientTimeoutMs ?? 3_000,
      },
      (response) => {
        const target = response.headers["x-target"];
        response.resume();
        response.on("end", () => {
          const status = response.statusCode ?? 0;
          if (typeof target === "string") outcome.perTarget.set(target, (outcome.perTarget.get(target) ?? 0) + 1);
          over(status >= 200 && status < 300 ? null : `${path}: status ${status}`);
        });
        response.on("error", (error) => over(`${path}: ${error.message} in the answer`));
      },
    );
    sent.on("socket", (socket) => {
      if (socket.connecting) outcome.connections++;
    });
    sent.on("timeout", () => sent.destroy(new Error("client time-out")));
    sent.on("error", (error) => over(`${path}: ${error.message}`));
    sent.end(options.body);
  };

  // Paced by what is due since the start, so that a late timer does not lower the rate.
  const startedAtMs = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAtMs) / 1_000) * options.requestsPerSecond);
    for (let burst = 0; outcome.sent < due && burst < options.requestsPerSecond; burst++) send();
  }, 5);

  return {
    outcome,
    finished: (count) => new Promise((resolve) => waiters.push({ count, resolve })),
    stop: async () => {
      clearInterval(timer);
      if (underWay > 0)
        await new Promise<void>((resolve) => {
          onIdle = resolve;
        });
      agent.destroy();
      return outcome;
    },
  };
}
