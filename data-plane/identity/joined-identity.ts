import { type KeyObject, X509Certificate } from "node:crypto";
import { backoffMs, shuffled } from "../sync/backoff.ts";
import type { Clock } from "../sync/clock.ts";
import type { Access } from "../sync/sync-access.ts";
import type { Log } from "../telemetry/log.ts";
import { certificateProblem } from "./certificate-problem.ts";
import { certificateRequest } from "./certificate-request.ts";
import { accessWith, fetchAuthority } from "./control-plane-tls.ts";
import { EnrolError, enrol, renew } from "./enrol-client.ts";
import type { IdentityFolder, KeptIdentity } from "./identity-folder.ts";
import type { IdentityStatus, NodeIdentity } from "./node-identity.ts";
import type { JoinToken } from "./read-join-token.ts";

export interface JoinedIdentityOptions {
  readonly folder: IdentityFolder;
  readonly nodeId: string;
  /** host:port of each. */
  readonly controlPlanes: readonly string[];
  /** Null where the node has joined before. */
  readonly token: JoinToken | null;
  readonly clock: Clock;
  /** 0 <= random() < 1; for jitter. */
  readonly random: () => number;
  readonly log: Log;
}

const joinBackoff = { firstMaxMs: 500, maxMs: 30_000 };
const renewBackoff = { firstMaxMs: 60_000, maxMs: 600_000 };
/** Renewed at two thirds of its life, less up to a twentieth, so that nodes that joined together do not renew so. */
const renewShare = 2 / 3;
const jitterShare = 1 / 20;
/** Until it is renewed again: one that is due at once would be so again, where a clock is wrong. */
const renewPauseMs = 60_000;
/** What a timer can hold. */
const timerMaxMs = 2 ** 31 - 1;

/**
 * The identity of a node that the control plane certifies: joins by a token, keeps what it got, and renews it. A token
 * that it has joined by already is not used again, so it may stay where it is given. The stream is none of its
 * business: that ends with the certificate that it was opened with, and the next one shows the new one.
 */
export class JoinedIdentity implements NodeIdentity {
  readonly #options: JoinedIdentityOptions;
  #kept: KeptIdentity | null;
  #problem: string | null = null;
  #failedCount = 0;
  #stopTimer: () => void = () => {};
  #isClosed = false;
  #tellRenewed: () => void = () => {};

  constructor(options: JoinedIdentityOptions) {
    this.#options = options;
    this.#kept = options.folder.load(options.nodeId);
    if (this.#mustJoin) this.#run(() => this.#join());
    else this.#scheduleRenewal();
  }

  access(address: string): Access {
    const key = this.#options.folder.key();
    if (this.#kept === null || key === null)
      return { ok: false, problem: this.#problem ?? "this node has not joined yet" };
    const { certificate: cert, authority } = this.#kept;
    const pair = { cert, key: key.export({ type: "pkcs8", format: "pem" }).toString() };
    return accessWith({ pair, authorities: authority, knownBy: "spiffe_id" }, address);
  }

  onRenewed(run: () => void): void {
    this.#tellRenewed = run;
  }

  get status(): IdentityStatus {
    const certificate = this.#certificate;
    return {
      type: "joined",
      expiresAtMs: certificate?.validToDate.getTime() ?? null,
      renewsAtMs: certificate === null ? null : renewsAtMs(certificate),
      problem: this.#problem,
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#stopTimer();
  }

  get #certificate(): X509Certificate | null {
    return this.#kept === null ? null : new X509Certificate(this.#kept.certificate);
  }

  /** With a token that is new to it: without a certificate, or to get another one than it has. */
  get #mustJoin(): boolean {
    const { token } = this.#options;
    return this.#kept === null || (token !== null && token.id !== this.#kept.tokenId);
  }

  async #join(): Promise<void> {
    const { token, log, nodeId, folder } = this.#options;
    if (token === null) {
      this.#problem = "this node has not joined, and what it had is lost or damaged: it needs a join token";
      log.error({ node: nodeId }, this.#problem);
      return;
    }
    try {
      const authority = await this.#anyControlPlane((address) => fetchAuthority(address, token.authorityDigest));
      await this.#joinAt(authority.address, authority.value, token);
      this.#succeeded("this node has joined");
    } catch (error) {
      const isKeyRevoked = error instanceof EnrolError && error.isKeyRevoked;
      this.#failed("this node could not join", error);
      if (isKeyRevoked) {
        // The next try comes with another key; what the old one was certified for is of no use.
        folder.makeKey();
        this.#kept = null;
      }
      const isTokenOfNoUse = error instanceof EnrolError && error.isRefusal && this.#kept !== null;
      if (isTokenOfNoUse) this.#scheduleRenewal();
      // Once: a control plane that takes no key is spared like any other.
      else if (isKeyRevoked && this.#failedCount++ === 0) this.#after(0, () => this.#join());
      else this.#after(this.#backoffMs(joinBackoff), () => this.#join());
    }
  }

  async #joinAt(address: string, trusted: string, token: JoinToken): Promise<void> {
    const { folder, nodeId } = this.#options;
    const key = folder.key() ?? folder.makeKey();
    const access = accessWith({ pair: null, authorities: trusted, knownBy: "spiffe_id" }, address);
    const { id: tokenId, secret } = token;
    const proof = { tokenId, secret, nodeId, certificateRequest: certificateRequest(key) };
    const { certificate } = await enrol(address, access, proof);
    this.#keep({ certificate, authority: trusted, tokenId }, key);
  }

  async #renew(): Promise<void> {
    const key = this.#options.folder.key();
    const kept = this.#kept;
    try {
      if (key === null || kept === null) throw new Error("the node's key is gone");
      const request = certificateRequest(key);
      const { value } = await this.#anyControlPlane((address) => renew(address, this.access(address), request));
      this.#keep({ ...kept, certificate: value.certificate }, key);
      this.#succeeded("the node's certificate is renewed");
    } catch (error) {
      this.#failed("the node's certificate could not be renewed", error);
      this.#after(this.#backoffMs(renewBackoff), () => this.#renew());
    }
  }

  /** The first control plane that answers well, in random order; else what the last one said. */
  async #anyControlPlane<T>(ask: (address: string) => Promise<T>): Promise<{ address: string; value: T }> {
    let failure: unknown = new Error("there are no control planes");
    for (const address of shuffled(this.#options.controlPlanes, this.#options.random)) {
      try {
        return { address, value: await ask(address) };
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** Errors: throws where the node cannot show that certificate: it would be without the one that it has. */
  #keep(identity: KeptIdentity, key: KeyObject): void {
    const problem = certificateProblem(identity.certificate, this.#options.nodeId, key);
    if (problem !== null) throw new Error(`the certificate that it was given ${problem}`);
    this.#options.folder.save(identity);
    this.#kept = identity;
  }

  #succeeded(what: string): void {
    const { log, nodeId } = this.#options;
    this.#problem = null;
    this.#failedCount = 0;
    log.info({ node: nodeId, expires: this.#certificate?.validToDate.toISOString() }, what);
    this.#scheduleRenewal(renewPauseMs);
    this.#tellRenewed();
  }

  #failed(what: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const problem = `${what}: ${reason}`;
    if (!this.#isClosed)
      this.#options.log[problem === this.#problem ? "debug" : "error"]({ node: this.#options.nodeId, reason }, what);
    this.#problem = problem;
  }

  #scheduleRenewal(leastMs = 0): void {
    const certificate = this.#certificate;
    if (certificate === null) return;
    const { clock, random } = this.#options;
    const lifeMs = certificate.validToDate.getTime() - certificate.validFromDate.getTime();
    const dueAtMs = renewsAtMs(certificate) - lifeMs * jitterShare * random();
    const leftMs = Math.max(dueAtMs - clock.unixMs(), leastMs);
    this.#after(Math.min(leftMs, timerMaxMs), async () => {
      if (leftMs > timerMaxMs) this.#scheduleRenewal();
      else await this.#renew();
    });
  }

  #backoffMs(bounds: { readonly firstMaxMs: number; readonly maxMs: number }): number {
    return backoffMs(this.#failedCount++, this.#options.random(), bounds);
  }

  #after(delayMs: number, run: () => Promise<void>): void {
    if (this.#isClosed) return;
    this.#stopTimer();
    this.#stopTimer = this.#options.clock.after(delayMs, () => this.#run(run));
  }

  /** A disk that is full, or a bug, costs another try: whatever a control plane says, the node serves on. */
  #run(attempt: () => Promise<void>): void {
    attempt().catch((error) => {
      this.#failed("the node's identity could not be kept", error);
      this.#after(this.#backoffMs(joinBackoff), attempt);
    });
  }
}

function renewsAtMs({ validFromDate, validToDate }: X509Certificate): number {
  const fromMs = validFromDate.getTime();
  return fromMs + (validToDate.getTime() - fromMs) * renewShare;
}
