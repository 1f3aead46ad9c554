import { toldText } from "../observation/told-values.ts";
import type { Clock } from "../sync/clock.ts";
import type { Log } from "../telemetry/log.ts";

/** Somebody who was refused on the sync port. */
export interface Refused {
  readonly action: "join" | "renew" | "connect";
  /** As the call says it: `address:port`. */
  readonly peer: string;
  /** Of the node, as it said or as its certificate says; "" where neither did. */
  readonly nodeId: string;
  /** "" without one. */
  readonly tokenId: string;
  /** One sentence. */
  readonly cause: string;
}

/** The same refusal, as often as it came. */
export interface RefusalEntry extends Omit<Refused, "peer"> {
  /** Without the port. */
  readonly address: string;
  readonly count: number;
  readonly firstAtUnixMs: number;
  readonly lastAtUnixMs: number;
}

const entriesMax = 1_000;
/** Longer texts are what strangers say. */
const textMaxLength = 128;
/** The same refusal is logged again after this. */
const logAgainMs = 60_000;

/** So many joins from one address may fail ... */
const failuresMax = 60;
/** ... within this; further ones are refused unread. */
const failuresWindowMs = 60_000;
const addressesMax = 10_000;

interface Failures {
  count: number;
  startMs: number;
}

/**
 * Who was refused and why, for people: in the log, and in memory for the Admin API. The same again is counted, so that
 * a node that knocks every few seconds hides nobody else.
 */
export class RefusalLog {
  readonly #clock: Pick<Clock, "unixMs" | "monotonicMs">;
  readonly #log: Pick<Log, "warn">;
  /** The one that came last at the end. */
  readonly #entries = new Map<string, RefusalEntry & { loggedAtMs: number }>();
  /** By address; the one that began last at the end. */
  readonly #failures = new Map<string, Failures>();

  constructor(clock: Pick<Clock, "unixMs" | "monotonicMs">, log: Pick<Log, "warn">) {
    this.#clock = clock;
    this.#log = log;
  }

  record(refused: Refused): void {
    const { action, cause } = refused;
    const address = addressOf(refused.peer);
    const nodeId = toldText(refused.nodeId, textMaxLength);
    const tokenId = toldText(refused.tokenId, textMaxLength);
    if (action === "join") this.#countFailure(address);
    const nowUnixMs = this.#clock.unixMs();
    const nowMs = this.#clock.monotonicMs();
    const key = JSON.stringify([action, address, nodeId, tokenId, cause]);
    const known = this.#entries.get(key);
    const isLogged = known === undefined || nowMs - known.loggedAtMs >= logAgainMs;
    const count = (known?.count ?? 0) + 1;
    this.#entries.delete(key);
    this.#entries.set(key, {
      ...{ action, address, nodeId, tokenId, cause, count },
      firstAtUnixMs: known?.firstAtUnixMs ?? nowUnixMs,
      lastAtUnixMs: nowUnixMs,
      loggedAtMs: isLogged ? nowMs : known.loggedAtMs,
    });
    dropOldest(this.#entries, entriesMax);
    if (isLogged) this.#log.warn({ action, address, node: nodeId, token: tokenId, cause, count }, "a node was refused");
  }

  /** The newest first. */
  entries(): readonly RefusalEntry[] {
    return [...this.#entries.values()].reverse().map(({ loggedAtMs: _, ...entry }) => entry);
  }

  /** Whether too many joins from an address have failed lately. */
  isLimited(peer: string): boolean {
    const failures = this.#failures.get(addressOf(peer));
    return failures !== undefined && failures.count >= failuresMax && !this.#isOver(failures);
  }

  #countFailure(address: string): void {
    const known = this.#failures.get(address);
    if (known !== undefined && !this.#isOver(known)) {
      known.count++;
      return;
    }
    this.#failures.delete(address);
    this.#failures.set(address, { count: 1, startMs: this.#clock.monotonicMs() });
    dropOldest(this.#failures, addressesMax);
  }

  #isOver({ startMs }: Failures): boolean {
    return this.#clock.monotonicMs() - startMs >= failuresWindowMs;
  }
}

function dropOldest(map: Map<string, unknown>, maxCount: number): void {
  if (map.size <= maxCount) return;
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}

/** `address:port` without the port; an IPv6 address stands there without brackets. */
function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, "");
}
