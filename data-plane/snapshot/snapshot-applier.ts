import type { ConfigUpdate } from "../config/encoded-config.ts";
import type { EndpointSet } from "../config/worker-config.ts";
import { inSlices } from "../steps/in-slices.ts";
import type { EndpointResolver } from "../upstream/endpoint-resolver.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import type { ApplyOutcome, ApplySnapshot, ReceivedSnapshot, Refusal, SnapshotEntity } from "./apply-snapshot.ts";
import { type IsOwnPort, SnapshotCompiler, type SnapshotLimits, type SnapshotPlan } from "./compile-snapshot.ts";
import type { CertificateExpiry, CertificateTrial } from "./compile-tls.ts";
import { ConfigBook } from "./config-book.ts";

/** The workers, as far as applying a snapshot needs them. */
export interface ConfigDelivery {
  /** Resolves when every worker serves the config, or when it is clear that they will not all. */
  deliver(update: ConfigUpdate): Promise<{ readonly ok: true } | { readonly ok: false; readonly message: string }>;
  /** Leaves every worker without a config. */
  withdraw(): void;
}

export interface SnapshotApplierOptions {
  readonly limits: SnapshotLimits;
  readonly certificates: CertificateTrial;
  readonly endpoints: EndpointResolver;
  readonly workers: ConfigDelivery;
  /** Whether this node itself listens there: no target may point at it. Default: nowhere. */
  readonly isOwnPort?: IsOwnPort;
  /** What was served before this process served something, to go back to. Default: nothing. */
  readonly former?: (served: AppliedSnapshot) => Promise<ReceivedSnapshot | null>;
  /** Why something is not to be served where something else is. Default: nothing is known against anything. */
  readonly unfit?: (snapshot: AppliedSnapshot) => Refusal | null;
  /** Before anything is done with a snapshot, and where it is refused, with what is served on; null for nothing. */
  readonly onTakenUp?: (snapshot: AppliedSnapshot | null) => void;
  /** To be told when much is applied beside requests, and when that is over. Default: nobody is. */
  readonly collections?: { begin(): void; end(): void };
  /** So long at most, and a step, a snapshot is compiled in one go. Default: 2. */
  readonly sliceMs?: number;
  /** @param notes what of the snapshot was left out without harm, each in one sentence */
  readonly onApplied: (snapshot: ReceivedSnapshot, notes: readonly string[]) => void;
  readonly onRefused: (snapshot: ReceivedSnapshot, refusal: Refusal) => void;
  /** What was served is given up; the one before it is served again. */
  readonly onWithdrawn: (withdrawn: AppliedSnapshot, servedAgain: AppliedSnapshot, refusal: Refusal) => void;
  /** The workers would not even take back what they served before; those that are replaced will. */
  readonly onRollbackFailed: (message: string) => void;
}

/** The main thread also answers status and metrics, hears the workers' pulses and may accept connections. */
const SLICE_MS = 2;
/** What takes more slices than that is much. */
const smallSliceCount = 2;

/** Which snapshot the workers serve. */
export type AppliedSnapshot = Omit<ReceivedSnapshot, "entities">;

/** What was served, to go back to. */
interface Former {
  readonly snapshot: AppliedSnapshot;
  readonly entities: readonly SnapshotEntity[];
}

/**
 * Takes snapshots to the workers, one after the other: compile, resolve, deliver. What cannot be served is refused
 * whole, the workers get back what they served before, and the next snapshot begins from there.
 */
export class SnapshotApplier {
  readonly #options: SnapshotApplierOptions;
  readonly #compiler: SnapshotCompiler;
  readonly #book: ConfigBook;
  #served: AppliedSnapshot | null = null;
  /** Its pools. */
  #servedPools: readonly PoolPlan[] = [];
  /** What was served before that. */
  #before: Former | null = null;
  #expiries: readonly CertificateExpiry[] = [];
  /** Whether workers have to get all of the next config. */
  #isWholeDue = true;
  /** What was given up after it had been served: refused when it is offered again. */
  #withdrawn: { readonly snapshot: AppliedSnapshot; readonly refusal: Refusal } | null = null;
  #last: Promise<unknown> = Promise.resolve();
  /** Whether `collections` was told that much is applied. */
  #isMuch = false;

  constructor(options: SnapshotApplierOptions) {
    const { limits, certificates, isOwnPort, endpoints } = options;
    this.#options = options;
    this.#compiler = new SnapshotCompiler(limits, certificates, isOwnPort);
    this.#book = new ConfigBook(endpoints);
  }

  /** What every worker serves; null before the first snapshot. */
  get served(): AppliedSnapshot | null {
    return this.#served;
  }

  /** When the certificates of what is served expire. */
  get expiries(): readonly CertificateExpiry[] {
    return this.#expiries;
  }

  readonly apply: ApplySnapshot = (snapshot) => this.begin(snapshot).outcome;

  /**
   * Like `apply`; `isUnderWay` resolves before the outcome, when the config is with the workers or has been refused.
   * So a node that starts can have its config in the first message to workers that are yet to come.
   */
  begin(snapshot: ReceivedSnapshot): { readonly isUnderWay: Promise<void>; readonly outcome: Promise<ApplyOutcome> } {
    let nowUnderWay = () => {};
    const isUnderWay = new Promise<void>((resolve) => {
      nowUnderWay = resolve;
    });
    const outcome = this.#last.then(() => this.#run(snapshot, nowUnderWay)).catch(internalError);
    void outcome.then(() => this.#muchIsOver());
    this.#last = outcome.then(nowUnderWay);
    return { isUnderWay, outcome };
  }

  /**
   * The workers die of what they serve: they get back what they served before it, which is refused from now on.
   * Does nothing when they serve something else meanwhile, or when there was nothing before. Never rejects.
   */
  goBack(publication: number, cause: string): Promise<void> {
    const goneBack = this.#last.then(async () => {
      const bad = this.#served;
      if (bad?.publication !== publication) return;
      const before = this.#before ?? (await this.#formerOf(bad));
      if (before === null) return;
      const refusal = wholeRefusal("workers_lost", `worker after worker was lost while serving it; the last: ${cause}`);
      this.#withdrawn = { snapshot: bad, refusal };
      this.#options.onTakenUp?.(before.snapshot);
      this.#options.onWithdrawn(bad, before.snapshot, refusal);
      await this.#serveAgain(before);
    });
    const done = goneBack
      .catch((error: Error) => this.#options.onRollbackFailed(error.message))
      .finally(() => this.#muchIsOver());
    this.#last = done;
    return done;
  }

  async #formerOf(bad: AppliedSnapshot): Promise<Former | null> {
    const snapshot = (await this.#options.former?.(bad)) ?? null;
    return snapshot === null ? null : { snapshot, entities: snapshot.entities };
  }

  /** Tells workers that begin of endpoints that names have come to stand for; those that serve are told by others. */
  endpointsChanged(sets: readonly EndpointSet[]): void {
    this.#book.endpointsChanged(sets);
  }

  async #run(snapshot: ReceivedSnapshot, nowUnderWay: () => void): Promise<ApplyOutcome> {
    const unfit = this.#unfit(snapshot);
    if (unfit !== null) return this.#refuse(snapshot, unfit);
    this.#options.onTakenUp?.(snapshot);
    const compiled = await this.#inSlices(this.#compiler.steps(snapshot));
    if (!compiled.ok) return this.#refuse(snapshot, compiled.refusal);
    const { plan } = compiled;
    if (!(await this.#prepared(plan))) {
      this.#forget();
      return this.#refuse(snapshot, wholeRefusal("limit_exceeded", "more endpoints or pools than this node takes"));
    }
    const delivery = this.#deliver(this.#isWholeDue ? this.#book.whole() : this.#book.update(plan));
    nowUnderWay();
    const delivered = await delivery;
    if (!delivered.ok) {
      await this.#rollBack();
      return this.#refuse(snapshot, wholeRefusal("worker_failed", delivered.message));
    }
    this.#before = this.#served === null ? null : { snapshot: this.#served, entities: plan.before };
    this.#serves(snapshot, plan);
    this.#options.onApplied(snapshot, plan.notes);
    return { ok: true };
  }

  #unfit(snapshot: AppliedSnapshot): Refusal | null {
    if (isSame(this.#withdrawn?.snapshot, snapshot)) return this.#withdrawn!.refusal;
    // Until the process is lost again it serves that at least.
    return this.#served === null ? null : (this.#options.unfit?.(snapshot) ?? null);
  }

  /** Makes a plan ready to be delivered, in this very turn; false where it needs more than there is. */
  async #prepared(plan: SnapshotPlan): Promise<boolean> {
    const { endpoints } = this.#options;
    const pools = plan.pools.map((pool) => pool.plan);
    await endpoints.prepare(pools);
    await this.#inSlices(this.#book.prepareSteps(plan, this.#isWholeDue));
    const resolved = endpoints.use(pools);
    if (resolved === null) return false;
    this.#book.install();
    this.#book.endpointsChanged(resolved.late);
    return true;
  }

  async #deliver(update: ConfigUpdate) {
    // Until it is known that all have it, nothing can be said of what a change would change.
    this.#isWholeDue = true;
    if (update.change === null) this.#muchIsApplied();
    const delivered = await this.#options.workers.deliver(update);
    if (delivered.ok) this.#isWholeDue = false;
    return delivered;
  }

  #serves({ epoch, publication, revision, stateHash }: AppliedSnapshot, plan: SnapshotPlan): void {
    this.#compiler.commit();
    this.#book.commit();
    this.#expiries = plan.expiries;
    this.#served = { epoch, publication, revision, stateHash };
    this.#servedPools = plan.pools.map((pool) => pool.plan);
  }

  /** What was compiled last has never been. */
  #forget(): void {
    this.#compiler.rollBack();
    this.#book.rollBack();
  }

  /** The workers get back what they served; some may have taken what they could not all take. */
  async #rollBack(): Promise<void> {
    const { endpoints, workers, onRollbackFailed } = this.#options;
    // While all is as it was sent: names may have come to stand for others, and rings are made anew.
    await endpoints.prepare(this.#servedPools).catch(() => {});
    this.#forget();
    const resolved = endpoints.use(this.#compiler.pools.map(({ plan }) => plan));
    if (this.#served === null) return workers.withdraw();
    // Fewer rows may be free than before; then the workers keep the endpoints that they have.
    if (resolved === null) return onRollbackFailed("no rows left for its endpoints");
    this.#book.endpointsChanged(resolved.late);
    const delivered = await this.#deliver(this.#book.whole());
    if (!delivered.ok) onRollbackFailed(delivered.message);
  }

  /** What was served before is compiled anew, and all of it sent to the workers. */
  async #serveAgain({ snapshot, entities }: Former): Promise<void> {
    const { onRollbackFailed } = this.#options;
    const compiled = await this.#inSlices(this.#compiler.steps({ ...snapshot, entities }));
    if (!compiled.ok) {
      this.#options.onTakenUp?.(this.#served);
      return onRollbackFailed(compiled.refusal.message);
    }
    const isPrepared = await this.#prepared(compiled.plan);
    this.#before = null;
    if (!isPrepared) {
      this.#forget();
      this.#options.onTakenUp?.(this.#served);
      return onRollbackFailed("no rows left for its endpoints");
    }
    // From here on it is what the node says that it serves: workers that begin get it, if those there do not.
    this.#serves(snapshot, compiled.plan);
    const delivered = await this.#deliver(this.#book.whole());
    if (!delivered.ok) onRollbackFailed(delivered.message);
  }

  #inSlices<T>(steps: Generator<void, T>): Promise<T> {
    let sliceCount = 0;
    return inSlices(steps, this.#options.sliceMs ?? SLICE_MS, () => {
      if (++sliceCount > smallSliceCount) this.#muchIsApplied();
    });
  }

  /** A node that starts has no requests that would have to wait. */
  #muchIsApplied(): void {
    if (this.#isMuch || this.#served === null) return;
    this.#isMuch = true;
    this.#options.collections?.begin();
  }

  #muchIsOver(): void {
    if (!this.#isMuch) return;
    this.#isMuch = false;
    this.#options.collections?.end();
  }

  #refuse(snapshot: ReceivedSnapshot, refusal: Refusal): ApplyOutcome {
    this.#options.onTakenUp?.(this.#served);
    this.#options.onRefused(snapshot, refusal);
    return { ok: false, refusal };
  }
}

function isSame(one: AppliedSnapshot | undefined, other: AppliedSnapshot): boolean {
  return (
    one !== undefined &&
    one.publication === other.publication &&
    one.epoch.counter === other.epoch.counter &&
    Buffer.compare(one.stateHash, other.stateHash) === 0
  );
}

/** A bug of ours: the snapshot is refused, and the node goes on serving what it has. */
function internalError(cause: unknown): ApplyOutcome {
  return { ok: false, refusal: wholeRefusal("internal_error", String((cause as Error)?.message ?? cause)) };
}

function wholeRefusal(reason: string, message: string): Refusal {
  return { reason, entityKind: "", entityId: "", entityName: "", field: "", message };
}
