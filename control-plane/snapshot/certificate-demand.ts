import type { StoredResource } from "../store/resource-image.ts";
import type { ConjunctionId } from "./node-conditions.ts";
import { ReferenceDemand } from "./reference-demand.ts";
import { canBeSameName, isPattern, lowerCase, serverNamesOf } from "./server-name-patterns.ts";

/** Each is compared with all certificates' names that are patterns. */
const NAMES_PER_STEP = 16;

/** Where certificates are needed for the names that clients may ask for: where a route is that serves one of theirs. */
export class CertificateDemand {
  /** Where routes are, by the names that they serve. */
  readonly #routes = new ReferenceDemand();
  readonly #namesOfRoute = new Map<string, readonly string[]>();
  readonly #routePatterns = new Set<string>();
  /** Ids of certificates by server name. */
  readonly #certificates = new Map<string, string>();
  readonly #certificatePatterns = new Set<string>();
  readonly #namesOfCertificate = new Map<string, Set<string>>();
  /** Names that routes serve elsewhere than before. */
  readonly #changedNames = new Set<string>();

  addName(serverName: string, certificateId: string): void {
    const name = lowerCase(serverName);
    this.#certificates.set(name, certificateId);
    if (isPattern(name)) this.#certificatePatterns.add(name);
    const names = this.#namesOfCertificate.get(certificateId);
    if (names === undefined) this.#namesOfCertificate.set(certificateId, new Set([name]));
    else names.add(name);
  }

  removeName(serverName: string, certificateId: string): void {
    const name = lowerCase(serverName);
    const names = this.#namesOfCertificate.get(certificateId);
    names?.delete(name);
    if (names?.size === 0) this.#namesOfCertificate.delete(certificateId);
    if (this.#certificates.get(name) !== certificateId) return;
    this.#certificates.delete(name);
    this.#certificatePatterns.delete(name);
  }

  /** A route is where one of the alternatives says. */
  give({ id, message }: StoredResource<"route">, alternatives: readonly ConjunctionId[]): void {
    const names = serverNamesOf(message);
    this.#namesOfRoute.set(id, names);
    for (const name of names) {
      if (this.#routes.give(name, alternatives)) this.#changedNames.add(name);
      if (isPattern(name)) this.#routePatterns.add(name);
    }
  }

  /** Takes back what was given for a route. */
  withdraw(routeId: string, alternatives: readonly ConjunctionId[]): void {
    for (const name of this.#namesOfRoute.get(routeId) ?? []) {
      if (this.#routes.withdraw(name, alternatives)) this.#changedNames.add(name);
      if (!this.#routes.isWanted(name)) this.#routePatterns.delete(name);
    }
    this.#namesOfRoute.delete(routeId);
  }

  /** Where a certificate is needed for its names. */
  *alternatives(certificateId: string): Iterable<ConjunctionId> {
    for (const name of this.#namesOfCertificate.get(certificateId) ?? []) {
      for (const served of matching(name, this.#routes, this.#routePatterns)) yield* this.#routes.alternatives(served);
    }
  }

  /** Ids of the certificates whose names routes serve elsewhere than when this was asked before; a step for some names. */
  *takeChanged(): Generator<void, ReadonlySet<string>> {
    let count = 0;
    const ids = new Set<string>();
    const named = { names: () => this.#certificates.keys(), isWanted: (name: string) => this.#certificates.has(name) };
    for (const changed of this.#changedNames) {
      if (++count % NAMES_PER_STEP === 0) yield;
      for (const name of matching(changed, named, this.#certificatePatterns)) ids.add(this.#certificates.get(name)!);
    }
    this.#changedNames.clear();
    return ids;
  }
}

/** Those of some names that may mean the same as one; all are gone through only for a pattern. */
function* matching(
  name: string,
  names: Pick<ReferenceDemand, "names" | "isWanted">,
  patterns: Iterable<string>,
): Iterable<string> {
  if (!isPattern(name) && names.isWanted(name)) yield name;
  for (const other of isPattern(name) ? names.names() : patterns) if (canBeSameName(name, other)) yield other;
}
