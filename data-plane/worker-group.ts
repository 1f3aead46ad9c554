import type { ConfigUpdate } from "./config/encoded-config.ts";
import { ConnectionDealer } from "./connection-dealer.ts";
import { ListenError } from "./listen-error.ts";
import { ListenPlaces } from "./listen-places.ts";
import type { ListeningServers } from "./listener/proxy-server.ts";
import type { ExplainQuestion } from "./proxy/explanation.ts";
import { type DeliveryOutcome, WorkerDelivery } from "./worker-delivery.ts";
import type { WorkerGroupOptions } from "./worker-group-options.ts";
import { WorkerLosses } from "./worker-losses.ts";
import type { FromWorker, ToWorker } from "./worker-message.ts";
import { PULSE_MS, takePulse } from "./worker-pulse.ts";
import { WorkerSet, workerNumbers } from "./worker-set.ts";
import type { WorkerCounters, WorkerThread } from "./worker-thread.ts";

/** So many losses mean that the config is to blame: while it is on its way, or within a minute of serving it. */
const LOSSES_MAX = 3;

/**
 * The traffic workers of a node: starts them, sends all of them the same config and tells when each serves it, and
 * puts a successor in the place of each that dies, falls silent or is to be replaced.
 */
export class WorkerGroup {
  readonly #options: WorkerGroupOptions;
  readonly #workers: WorkerSet;
  readonly #losses = new WorkerLosses();
  /** Null where workers accept for themselves. */
  readonly #dealer: ConnectionDealer | null;
  readonly #places: ListenPlaces;
  /** What workers that begin are sent. */
  #config: ConfigUpdate | null = null;
  #delivery: WorkerDelivery | null = null;
  #starting: { readonly resolve: (port: number) => void; readonly reject: (error: Error) => void } | null = null;
  #handOver: { readonly leaver: WorkerThread; readonly successor: WorkerThread } | null = null;
  #isEnding = false;
  #isWithdrawing = false;
  /** Nobody listens before all could serve; the workers are spares until then. */
  #isHeldBack: boolean;
  #tickCount = 0;
  #cancelTick = () => {};
  #cancelFill = () => {};

  constructor(options: WorkerGroupOptions) {
    this.#options = options;
    this.#places = new ListenPlaces(options);
    this.#isHeldBack = options.waitsForConfig;
    const { entry, resourceLimits, timers, endpointTable, version, settings, onExited, onEndpointBlock } = options;
    this.#workers = new WorkerSet({
      ...{ entry, resourceLimits, onEndpointBlock },
      start: { endpointTable, version, settings },
      maxCount: workerNumbers(options.count),
      timers,
      onMessage: (thread, message) => this.#receive(thread, message),
      onLost: (thread, cause) => this.#lost(thread, cause),
      onExited,
    });
    const takers = () => this.#workers.all("serving").filter((thread) => thread.port !== null);
    this.#dealer = options.acceptIn === "main" ? new ConnectionDealer(takers, options.onAcceptError) : null;
  }

  /**
   * Starts every worker; resolves with the port when all of them take connections.
   * Errors: ListenError; any other Error when a worker dies before it listens.
   */
  async start(): Promise<number> {
    if (!this.#isHeldBack) await this.#openDealer();
    return await new Promise((resolve, reject) => {
      this.#starting = { resolve, reject };
      this.#fill();
      this.#tickLater();
    });
  }

  async #openDealer(): Promise<void> {
    if (this.#dealer === null) return;
    Object.assign(this.#places, await this.#dealer.open(this.#places.plain(), this.#places.tls()));
  }

  /** The port for TLS, once the group has started; null without one. */
  get tlsPort(): number | null {
    return this.#places.tlsPort;
  }

  get listeningCount(): number {
    return this.#workers.all("serving").filter(({ port }) => port !== null).length;
  }

  /** Workers that serve a config, be it the newest or the one before. */
  get servingCount(): number {
    return this.#workers.all("serving").filter(({ carriesTraffic }) => carriesTraffic).length;
  }

  /**
   * Gets every worker to a config, and every successor from now on. Resolves when all serve it, or when one could not
   * apply it, or when too many were lost with it; it is then for the caller to deliver another one, whole.
   * One at a time.
   */
  deliver(update: ConfigUpdate): Promise<DeliveryOutcome> {
    if (this.#delivery !== null) throw new Error("the delivery before has not ended");
    this.#config = update;
    this.#losses.configChanged();
    this.#delivery = new WorkerDelivery(update, this.#workers.all());
    return this.#delivery.isOver;
  }

  /** Puts every worker back to having no config, by replacing it: for when the first config of all was refused. */
  withdraw(): void {
    this.#config = null;
    this.#isWithdrawing = true;
    for (const thread of this.#workers.all()) thread.end("its first config was refused");
    this.#isWithdrawing = false;
    this.#fill();
  }

  post(message: ToWorker): void {
    this.#workers.post(message);
  }

  /** Resolves when every worker has taken in, or will never see, what was posted or is being delivered now. */
  async caughtUp(): Promise<void> {
    await this.#delivery?.isOver;
    await this.#workers.caughtUp();
  }

  /** What all workers of this run have counted. Waits at most a second for those that are busy. */
  counters(): Promise<WorkerCounters> {
    return this.#workers.counters();
  }

  /** What would become of a request; see WorkerSet. */
  readonly explain = (question: ExplainQuestion) => this.#workers.explain(question);

  /** What all workers of this run have carried, as told with the counters last. */
  readonly traffic = () => this.#workers.traffic();

  /** The workers that are there, in the order of their start, as told with the counters last. */
  readonly views = () => this.#workers.all();

  /** Replaces every worker, one after the other, without losing a connection. False when one could not be replaced. */
  async replaceAll(reason: string): Promise<boolean> {
    let isDone = true;
    for (const thread of this.#workers.all("serving")) isDone = (await this.#replace(thread, reason)) && isDone;
    return isDone;
  }

  /** Lets every worker finish its requests; resolves when all have, or soon after `timeoutMs`. Ends them. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isEnding = true;
    this.#cancelFill();
    for (const spare of this.#workers.all("spare")) spare.end("draining");
    const { timers } = this.#options;
    const startedAtMs = timers.nowMs();
    // Workers answer with "close" while the main thread goes on accepting: so they hear of it first.
    if (this.#dealer !== null) this.post({ type: "wind-down" });
    await this.#dealer?.drain(timeoutMs / 2);
    this.post({ type: "drain", timeoutMs: Math.max(timeoutMs - (timers.nowMs() - startedAtMs), 0) });
    const isOver = new Promise<void>((resolve) => timers.after(timeoutMs + PULSE_MS, resolve));
    await Promise.race([this.#workers.until(() => this.#workers.all().every(({ isDrained }) => isDrained)), isOver]);
    this.close();
  }

  /** Ends every worker at once. */
  close(): void {
    this.#isEnding = true;
    this.#cancelTick();
    this.#cancelFill();
    this.#dealer?.close();
    for (const thread of this.#workers.all()) thread.end("closing");
  }

  /** Sees to it that as many workers serve as should, and that a spare waits. */
  #fill(): void {
    if (this.#isEnding) return;
    const isHeldBack = this.#isHeldBack;
    // Without a port the first worker finds one, and the others take that.
    const wanted = this.#places.areOpen && !isHeldBack ? 1 : this.#options.count;
    for (let missing = wanted - this.#workers.all(isHeldBack ? "spare" : "serving").length; missing > 0; missing--) {
      const thread = (isHeldBack ? null : this.#workers.all("spare")[0]) ?? this.#startWorker();
      if (thread === null) {
        // Those that are about to go have all the numbers.
        this.#fillLater(PULSE_MS);
        return;
      }
      if (isHeldBack) continue;
      thread.role = "serving";
      this.#letIn(thread);
    }
    // Starting is costly: not while those that serve do it.
    if (this.#options.keepsSpare && this.#starting === null && this.#workers.all("spare").length === 0)
      this.#startWorker();
  }

  #fillLater(delayMs: number): void {
    this.#cancelFill();
    this.#cancelFill = this.#options.timers.after(delayMs, () => this.#fill());
  }

  #startWorker(): WorkerThread | null {
    return this.#workers.start(this.#config === null ? null : { type: "config", config: this.#config.whole() });
  }

  /** Connections come to this worker from now on. */
  #letIn(thread: WorkerThread): void {
    if (this.#dealer === null)
      thread.post({ type: "listen", place: this.#places.plain(), tlsPlace: this.#places.tls() });
    else thread.post({ type: "take-connections", port: this.#places.port, tlsPort: this.#places.tlsPort });
  }

  /** Puts a successor in a worker's place while that one can still hand over; resolves when the successor serves. */
  async #replace(leaver: WorkerThread, reason: string): Promise<boolean> {
    if (this.#isEnding || this.#handOver !== null || leaver.port === null || leaver.role !== "serving") return false;
    const successor = this.#workers.all("spare")[0] ?? this.#startWorker();
    if (successor === null) return false;
    this.#handOver = { leaver, successor };
    // What it answers comes after the config, and so it can serve.
    const isReady = (await successor.requestCounters(true)) !== null;
    if (!isReady || this.#isEnding || !leaver.isAlive || successor.role !== "spare") {
      this.#handOver = null;
      return false;
    }
    leaver.role = "leaving";
    successor.role = "serving";
    this.#options.onReplaced(leaver.number, reason);
    if (this.#dealer !== null) this.#letIn(successor);
    leaver.post({ type: "hand-over", timeoutMs: this.#options.retireTimeoutMs });
    await this.#workers.until(() => successor.port !== null || !successor.isAlive);
    this.#handOver = null;
    this.#fill();
    return successor.isAlive;
  }

  /** In the turn of the event loop in which the servers came, or this thread would accept their connections. */
  #passOn(leaver: WorkerThread, servers: ListeningServers): void {
    const handles = [...servers.plain, ...servers.tls];
    const successor = this.#handOver?.leaver === leaver ? this.#handOver.successor : null;
    if (handles.length === 0) {
      if (this.#dealer === null && successor !== null) this.#letIn(successor);
      return;
    }
    // Without it any other will do: what waits at these servers is lost with them.
    const heir =
      successor?.isAlive === true ? successor : this.#workers.all("serving").find(({ port }) => port !== null);
    if (heir !== undefined) heir.post({ type: "adopt", servers }, handles);
    else for (const server of handles) server.close();
  }

  #receive(thread: WorkerThread, message: FromWorker): void {
    switch (message.type) {
      case "listening":
        this.#listening(message.port, message.tlsPort);
        break;
      case "listen-failed":
        if (this.#starting !== null) this.#cannotStart(new ListenError(message.message, message.code));
        else thread.end(`cannot listen: ${message.message}`);
        break;
      case "applied":
        this.#delivery?.noteTimes(message.times);
        this.#openWhenConfigured();
        this.#checkDelivery();
        break;
      case "apply-failed":
        // An answer to a config that was replaced meanwhile says nothing about the newest.
        if (!thread.hasAnsweredConfig || this.#delivery?.isWaiting(thread)) break;
        // A spare may say so when the others have long been serving it.
        if (this.#delivery === null) thread.end(`cannot apply what the others serve: ${message.message}`);
        else this.#failDelivery(message.message);
        break;
      case "ejected":
      case "trial":
      case "health":
        this.#options.onEndpoint(message);
        break;
      case "access-log": {
        const { lines, lineCount } = message;
        const taken = () => thread.post({ type: "access-log-taken", byteCount: lines.length });
        this.#options.onAccessLog(lines, lineCount, taken);
        break;
      }
      case "handed-over":
        this.#passOn(thread, message.servers);
        break;
      case "failed": {
        const hasPlace = thread.role === "serving";
        // Its place is taken before it is lost: nobody else is to be let in for it then.
        thread.role = "leaving";
        if (!hasPlace || !this.#promoteSpare(message.servers)) this.#passOn(thread, message.servers);
        break;
      }
      case "drained":
        if (thread.role === "leaving") thread.end("has left");
        break;
    }
  }

  /** The first config is with all workers: those that were held back are let in. */
  #openWhenConfigured(): void {
    const { count } = this.#options;
    const configured = this.#workers.all("spare").filter((thread) => thread.hasAnsweredConfig && thread.hasApplied);
    if (!this.#isHeldBack || this.#delivery === null || configured.length < count) return;
    this.#isHeldBack = false;
    this.#openDealer().then(
      () => this.#fill(),
      (error) => this.#cannotStart(error),
    );
  }

  #listening(port: number, tlsPort: number | null): void {
    this.#dealer?.takersChanged();
    // A worker may have taken its config before it listened.
    this.#checkDelivery();
    if (this.#starting === null) return;
    this.#places.port = port;
    this.#places.tlsPort = tlsPort;
    this.#fill();
    if (this.listeningCount < this.#options.count) return;
    this.#starting.resolve(port);
    this.#starting = null;
    this.#fill();
  }

  /** All that carry traffic count, also those that leave: what a write changed holds on every open connection. */
  #checkDelivery(): void {
    const delivery = this.#delivery;
    delivery?.goOn();
    if (delivery === null || this.#workers.all("serving").length < this.#options.count) return;
    const isDone = ({ role, isDrained }: WorkerThread) => role === "spare" || isDrained;
    if (!this.#workers.all().every((thread) => isDone(thread) || delivery.isWith(thread))) return;
    this.#delivery = null;
    delivery.succeed();
  }

  #failDelivery(message: string): void {
    this.#delivery?.fail(message);
    this.#delivery = null;
  }

  #lost(thread: WorkerThread, cause: string): void {
    const hasLeft = thread.role === "leaving" && thread.isDrained;
    if (!this.#isEnding && !hasLeft && !this.#isWithdrawing) this.#succeed(thread, cause);
    this.#checkDelivery();
  }

  #cannotStart(error: Error): void {
    this.#starting?.reject(error);
    this.#starting = null;
    this.close();
  }

  /** A worker is lost that should not be. */
  #succeed(thread: WorkerThread, cause: string): void {
    // With a config from disk it may be the config's fault, and then starting goes on without it.
    if (this.#starting !== null && this.#config === null) {
      this.#cannotStart(new Error(`worker ${thread.number} was lost before it listened: ${cause}`));
      return;
    }
    const { delayMs, withinMinuteOnConfig } = this.#losses.add(this.#tickCount);
    this.#options.onLost(thread.number, cause, delayMs);
    // It may have gone without handing over, and then its successor is nobody's heir.
    const { leaver, successor } = this.#handOver ?? {};
    if (leaver === thread && successor?.role === "serving" && successor.port === null) this.#letIn(successor);
    if (thread.role === "serving") this.#promoteSpare();
    this.#fillLater(delayMs);
    if (this.#delivery !== null && ++this.#delivery.lossCount >= LOSSES_MAX) {
      const message = `${LOSSES_MAX} workers were lost while applying it; the last: ${cause}`;
      this.#failDelivery(message);
    } else if (this.#delivery === null && this.#config !== null && withinMinuteOnConfig === LOSSES_MAX) {
      this.#options.onUnfit(this.#config.publication, cause);
    }
  }

  /** No start to wait for: that is what it is there for. @param servers of the lost worker, if it could send them */
  #promoteSpare(servers: ListeningServers = { plain: [], tls: [] }): boolean {
    const spare = this.#workers
      .all("spare")
      .find((thread) => thread.hasStarted && thread !== this.#handOver?.successor);
    if (spare === undefined) return false;
    spare.role = "serving";
    const handles = [...servers.plain, ...servers.tls];
    if (handles.length > 0) spare.post({ type: "adopt", servers }, handles);
    else this.#letIn(spare);
    return true;
  }

  #tickLater(): void {
    this.#cancelTick = this.#options.timers.after(PULSE_MS, () => {
      this.#tick();
      if (!this.#isEnding) this.#tickLater();
    });
  }

  #tick(): void {
    this.#tickCount++;
    const { answerTimeoutMs, resourceLimits } = this.#options;
    for (const thread of this.#workers.all()) {
      const state = takePulse(thread, answerTimeoutMs, resourceLimits);
      if (state === "silent") thread.end("gives no answer");
      if (state === "full") void this.#replace(thread, "its heap is nearly full");
    }
  }
}
