import { StatusKind } from "../config/health-check-config.ts";
import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";
import type { CheckReport, HealthFlip } from "../health/check-counts.ts";
import type { UpstreamLoss } from "../upstream/http1-client.ts";
import { type CheckedEndpoints, reportCheck } from "../upstream/report-check.ts";

/** Traffic has put an endpoint in or out, by the passive checks of its pool. */
export type OnHealthFlip = (endpointRow: number, flip: HealthFlip, cause: string) => void;

/** A worker's passive checks: what its requests say of the endpoints that they were sent to. */
export class PassiveChecks {
  readonly #endpoints: CheckedEndpoints;
  readonly #onFlip: OnHealthFlip;

  constructor(endpoints: CheckedEndpoints, onFlip: OnHealthFlip) {
    this.#endpoints = endpoints;
    this.#onFlip = onFlip;
  }

  /** The endpoint's own final status, whatever the client is told. Nothing of ours is to be told here. */
  answered(pool: PoolConfig, endpoint: EndpointConfig, status: number): void {
    const { passive } = pool;
    if (passive === null) return;
    if (!passive.readsStatuses) {
      this.#report(pool, endpoint, "success", "answered");
      return;
    }
    // Kong counts every 504 as a timeout, as its own are.
    if (status === 504) {
      this.#report(pool, endpoint, "timeout", "504");
      return;
    }
    const kind = passive.statusKinds[status];
    if (kind === StatusKind.Good) this.#report(pool, endpoint, "success", "answered");
    else if (kind === StatusKind.Bad) this.#report(pool, endpoint, "http_failure", String(status));
  }

  /** An attempt without a whole answer, other than on a connection that had carried one before and closed just then. */
  lost(pool: PoolConfig, endpoint: EndpointConfig, loss: UpstreamLoss): void {
    if (pool.passive === null) return;
    const report = reportOfLoss(loss);
    if (report !== null) this.#report(pool, endpoint, report, loss);
  }

  #report({ passive, poolRow }: PoolConfig, { row }: EndpointConfig, report: CheckReport, cause: string): void {
    const flip = reportCheck(this.#endpoints, { poolRow, row }, report, passive!.thresholds);
    if (flip !== null) this.#onFlip(row, flip, cause);
  }
}

/** As Kong has it: what took too long is a timeout, all else that came to nothing a failed connection. */
function reportOfLoss(loss: UpstreamLoss): CheckReport | null {
  switch (loss) {
    case "timeout":
    case "connect_timeout":
      return "timeout";
    case "refused":
    case "unreachable":
    case "closed":
    case "bad_response":
    case "tls_certificate":
    case "tls_protocol":
    case "tls_alert":
      return "tcp_failure";
    default:
      // Our own shortage, defect or impatience: nothing that the endpoint did.
      return null;
  }
}
