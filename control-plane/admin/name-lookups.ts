export interface NameLookupsOptions {
  /** Rejects, with an error that has a code, where the name has no address here. */
  readonly lookUp: (name: string) => Promise<unknown>;
  readonly clock: { after(delayMs: number, run: () => void): () => void };
}

/** A write's answer comes at the latest after so long, whatever the DNS does. */
const waitMaxMs = 500;
/** The system's lookups take threads from a pool of four that files are read with, too. */
const underWayMaxCount = 2;

/** Whether names resolve on this machine, for warnings: never an error, and never for long. */
export class NameLookups {
  readonly #options: NameLookupsOptions;
  readonly #underWay = new Map<string, Promise<string | null>>();

  constructor(options: NameLookupsOptions) {
    this.#options = options;
  }

  /** Why the name does not resolve here, such as "ENOTFOUND"; null where it does, or where that is not known in time. */
  async problemOf(name: string): Promise<string | null> {
    const lookup = this.#underWay.get(name) ?? this.#begin(name);
    if (lookup === null) return null;
    let cancel = () => {};
    const late = new Promise<null>((resolve) => {
      cancel = this.#options.clock.after(waitMaxMs, () => resolve(null));
    });
    const problem = await Promise.race([lookup, late]);
    cancel();
    return problem;
  }

  #begin(name: string): Promise<string | null> | null {
    if (this.#underWay.size >= underWayMaxCount) return null;
    const lookup = this.#options.lookUp(name).then(
      () => null,
      (error: NodeJS.ErrnoException) => error.code ?? error.message,
    );
    this.#underWay.set(name, lookup);
    void lookup.then(() => this.#underWay.delete(name));
    return lookup;
  }
}
