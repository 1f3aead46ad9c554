import { Agent, type AgentOptions, request } from "node:https";
import type { TLSSocket } from "node:tls";

/** One connection's handshake, as the client saw it. */
export interface Handshake {
  /** On the clock of `performance.now()`. */
  readonly begunAtMs: number;
  readonly doneAtMs: number;
  readonly isResumed: boolean;
  /** SHA-256 of the certificate that it showed, or that was shown when the resumed session began; lower-case hex. */
  readonly digest: string;
}

/** A close, a reset, a time-out, a failed handshake and any status but 2xx count as failed. */
export interface TlsLoadOutcome {
  sent: number;
  ok: number;
  failed: number;
  /** The first few failures. */
  readonly failures: string[];
  /** Connections that were opened to be kept. */
  keptConnections: number;
  readonly handshakes: Handshake[];
}

export interface TlsLoadOptions {
  readonly port: number;
  readonly serverName: string;
  readonly caPem: string;
  readonly path: string;
  readonly requestsPerSecond: number;
  /** Of those that are kept. */
  readonly connectionCount: number;
}

interface Session {
  readonly ticket: Buffer;
  readonly digest: string;
}

/** Makes connections, and keeps what each handshake has shown. */
class WatchedAgent extends Agent {
  readonly #onHandshake: (handshake: Handshake) => void;
  readonly #resumes: boolean;
  #session: Session | null = null;
  openedCount = 0;

  constructor(options: AgentOptions, resumes: boolean, onHandshake: (handshake: Handshake) => void) {
    super({ ...options, maxCachedSessions: 0 });
    this.#resumes = resumes;
    this.#onHandshake = onHandshake;
  }

  override createConnection(options: object, connected: () => void): TLSSocket {
    const begunAtMs = performance.now();
    const resumed = this.#resumes ? this.#session : null;
    const session = resumed === null ? {} : { session: resumed.ticket };
    this.openedCount++;
    const socket = super.createConnection({ ...options, ...session } as never, connected) as TLSSocket;
    let digest = "";
    socket.once("secureConnect", () => {
      const isResumed = socket.isSessionReused();
      const shown = socket.getPeerCertificate().fingerprint256?.replaceAll(":", "").toLowerCase() ?? "";
      digest = isResumed ? resumed!.digest : shown;
      this.#onHandshake({ begunAtMs, doneAtMs: performance.now(), isResumed, digest });
    });
    // TLS 1.3 gives it with the first answer.
    socket.on("session", (ticket: Buffer) => {
      if (digest !== "") this.#session = { ticket, digest };
    });
    return socket;
  }
}

/**
 * Sends requests over TLS at a steady rate: half of them on kept connections, a quarter each on a new connection with
 * a full handshake, and on one that resumes a session where it can. None is sent twice.
 */
export function startTlsLoad(options: TlsLoadOptions) {
  const outcome: TlsLoadOutcome = { sent: 0, ok: 0, failed: 0, failures: [], keptConnections: 0, handshakes: [] };
  const place = { host: "127.0.0.1", port: options.port, servername: options.serverName, ca: options.caPem };
  const watch = (handshake: Handshake) => void outcome.handshakes.push(handshake);
  const kept = new WatchedAgent(
    { keepAlive: true, maxSockets: options.connectionCount, scheduling: "fifo" },
    false,
    watch,
  );
  const full = new WatchedAgent({}, false, watch);
  const resuming = new WatchedAgent({}, true, watch);
  const agents = [kept, full, kept, resuming];
  const waiters: { readonly count: number; readonly resolve: () => void }[] = [];
  let onIdle: (() => void) | null = null;

  const finish = (failure: string | null): void => {
    if (failure === null) outcome.ok++;
    else if (outcome.failures.push(failure) > 10) outcome.failures.length = 10;
    if (failure !== null) outcome.failed++;
    const finished = outcome.ok + outcome.failed;
    for (const waiter of waiters.splice(0)) {
      if (finished >= waiter.count) waiter.resolve();
      else waiters.push(waiter);
    }
    if (finished === outcome.sent) onIdle?.();
  };

  const send = (): void => {
    const agent = agents[outcome.sent++ % agents.length]!;
    let isOver = false;
    const over = (failure: string | null) => {
      if (!isOver) finish(failure);
      isOver = true;
    };
    const headers = { Host: options.serverName };
    const sent = request({ ...place, path: options.path, headers, agent, timeout: 5_000 }, (answer) => {
      answer.resume();
      answer.on("error", (error) => over(`in the answer: ${error.message}`));
      answer.on("end", () => over(answer.statusCode === 200 ? null : `status ${answer.statusCode}`));
    });
    sent.on("timeout", () => sent.destroy(new Error("client time-out")));
    sent.on("error", (error) => over(error.message));
    sent.end();
  };

  const startedAtMs = performance.now();
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAtMs) / 1_000) * options.requestsPerSecond;
    for (let burst = 0; outcome.sent < due && burst < options.requestsPerSecond; burst++) send();
  }, 5);

  return {
    outcome,
    /** Resolves when that many requests were answered or failed. */
    finished: (count: number) => new Promise<void>((resolve) => waiters.push({ count, resolve })),
    /** Sends no more, waits for what is under way. */
    async stop(): Promise<TlsLoadOutcome> {
      clearInterval(timer);
      if (outcome.ok + outcome.failed < outcome.sent) {
        await new Promise<void>((resolve) => {
          onIdle = resolve;
        });
      }
      outcome.keptConnections = kept.openedCount;
      for (const agent of agents) agent.destroy();
      return outcome;
    },
  };
}

/** A certificate that was put into the place of the one before. On the clock of `performance.now()`. */
export interface Rotation {
  readonly digest: string;
  readonly writeBegunAtMs: number;
  readonly writeReturnedAtMs: number;
}

/**
 * The handshakes that showed a certificate that was over when they began, or none that there ever was.
 * @param rotations in order; the first was there before any handshake
 */
export function staleHandshakes(handshakes: readonly Handshake[], rotations: readonly Rotation[]): Handshake[] {
  return handshakes.filter(({ begunAtMs, doneAtMs, digest }) => {
    const newest = rotations.findLastIndex(({ writeReturnedAtMs }) => writeReturnedAtMs <= begunAtMs);
    const allowed = rotations.slice(Math.max(newest, 0)).filter(({ writeBegunAtMs }) => writeBegunAtMs <= doneAtMs);
    return !allowed.some((rotation) => rotation.digest === digest);
  });
}
