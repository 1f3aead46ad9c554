import type { EncodedConfig } from "../config/encoded-config.ts";
import { TlsEncoder } from "../config/encoded-tls.ts";
import type { EndpointSet, PoolConfig } from "../config/worker-config.ts";
import type { EndpointResolver, ResolvedPools } from "../upstream/endpoint-resolver.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import type { ApplyOutcome, ApplySnapshot, ReceivedSnapshot, Refusal } from "./apply-snapshot.ts";
import { compileSteps, type IsOwnPort, type SnapshotLimits, type SnapshotPlan } from "./compile-snapshot.ts";
import type { CertificateExpiry, CertificateTrial } from "./compile-tls.ts";
import { inSlices } from "./in-slices.ts";

/** The workers, as far as applying a snapshot needs them. */
export interface ConfigDelivery {
  /** Resolves when every worker serves the config, or when it is clear that they will not all. */
  deliver(
    config: EncodedConfig,
    endpointSets: readonly EndpointSet[],
  ): Promise<{ readonly ok: true } | { readonly ok: false; readonly message: string }>;
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

/** Which snapshot the workers serve. */
export type AppliedSnapshot = Omit<ReceivedSnapshot, "entities">;

interface Served {
  readonly snapshot: AppliedSnapshot;
  readonly plan: SnapshotPlan;
}

/**
 * Takes snapshots to the workers, one after the other: compile, resolve, deliver. What cannot be served is refused
 * whole, the workers get back what they served before, and the next snapshot begins from there.
 */
export class SnapshotApplier {
  readonly #options: SnapshotApplierOptions;
  #served: Served | null = null;
  /** What was served before that, to go back to. */
  #before: Served | null = null;
  /** What was given up after it had been served: refused when it is offered again. */
  #withdrawn: { readonly snapshot: AppliedSnapshot; readonly refusal: Refusal } | null = null;
  #last: Promise<unknown> = Promise.resolve();
  readonly #tlsEncoder = new TlsEncoder();

  constructor(options: SnapshotApplierOptions) {
    this.#options = options;
  }

  /** What every worker serves; null before the first snapshot. */
  get served(): AppliedSnapshot | null {
    return this.#served?.snapshot ?? null;
  }

  /** When the certificates of what is served expire. */
  get expiries(): readonly CertificateExpiry[] {
    return this.#served?.plan.expiries ?? [];
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
    this.#last = outcome.then(nowUnderWay);
    return { isUnderWay, outcome };
  }

  /**
   * The workers die of what they serve: they get back what they served before it, which is refused from now on.
   * Does nothing when they serve something else meanwhile, or when there was nothing before.
   */
  goBack(publication: number, cause: string): Promise<void> {
    const done = this.#last.then(async () => {
      const [bad, before] = [this.#served, this.#before];
      if (bad?.snapshot.publication !== publication || before === null) return;
      const refusal = wholeRefusal("workers_lost", `worker after worker was lost while serving it; the last: ${cause}`);
      this.#withdrawn = { snapshot: bad.snapshot, refusal };
      this.#served = before;
      this.#before = null;
      this.#options.onWithdrawn(bad.snapshot, before.snapshot, refusal);
      await this.#rollBack();
    });
    this.#last = done.catch((error: Error) => this.#options.onRollbackFailed(error.message));
    return done;
  }

  async #run(snapshot: ReceivedSnapshot, nowUnderWay: () => void): Promise<ApplyOutcome> {
    const { endpoints, workers, limits, certificates, isOwnPort, onApplied, sliceMs = SLICE_MS } = this.#options;
    if (isSame(this.#withdrawn?.snapshot, snapshot)) return this.#refuse(snapshot, this.#withdrawn!.refusal);
    const compiled = await inSlices(compileSteps(snapshot, limits, certificates, isOwnPort), sliceMs);
    if (!compiled.ok) return this.#refuse(snapshot, compiled.refusal);
    const { plan } = compiled;
    await endpoints.prepare(plan.pools);
    const resolved = endpoints.use(plan.pools);
    if (resolved === null) {
      return this.#refuse(snapshot, wholeRefusal("limit_exceeded", "more endpoints or pools than this node takes"));
    }
    const delivery = workers.deliver(this.#toConfig(plan, resolved), resolved.sets);
    nowUnderWay();
    const delivered = await delivery;
    if (!delivered.ok) {
      await this.#rollBack();
      return this.#refuse(snapshot, wholeRefusal("worker_failed", delivered.message));
    }
    const { epoch, publication, revision, stateHash } = snapshot;
    this.#before = this.#served;
    this.#served = { snapshot: { epoch, publication, revision, stateHash }, plan };
    onApplied(snapshot, plan.notes);
    return { ok: true };
  }

  async #rollBack(): Promise<void> {
    const { endpoints, workers, onRollbackFailed } = this.#options;
    const resolved = endpoints.use(this.#served?.plan.pools ?? []);
    if (this.#served === null) return workers.withdraw();
    // Fewer rows may be free than before; then the workers keep the endpoints that they have.
    if (resolved === null) return onRollbackFailed("no rows left for its endpoints");
    const delivered = await workers.deliver(this.#toConfig(this.#served.plan, resolved), resolved.sets);
    if (!delivered.ok) onRollbackFailed(delivered.message);
  }

  #toConfig(plan: SnapshotPlan, { poolRows }: ResolvedPools): EncodedConfig {
    const { publication, revision, content } = plan;
    const pools = plan.pools.map((pool, i) => toPoolConfig(pool, poolRows[i]!));
    return { publication, revision, pools, content, tls: this.#tlsEncoder.encode(plan.tls) };
  }

  #refuse(snapshot: ReceivedSnapshot, refusal: Refusal): ApplyOutcome {
    this.#options.onRefused(snapshot, refusal);
    return { ok: false, refusal };
  }
}

/** Without what only the main thread needs. */
function toPoolConfig(plan: PoolPlan, poolRow: number): PoolConfig {
  const {
    members: _,
    weightBasis: _basis,
    usesSrvName: _name,
    slots: _slots,
    activeCheck: _check,
    serviceIds: _services,
    overrides: _overrides,
    ...pool
  } = plan;
  return { ...pool, poolRow };
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
