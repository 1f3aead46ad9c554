import type { Epoch, Hello, Holding } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { toldCount } from "../observation/told-values.ts";
import type { StoreEpoch } from "../store/store.ts";

/** Who a node says it is, within limits: it may be anyone, and all of this stays in memory. */
export interface NodeFacts {
  readonly id: string;
  readonly hostname: string;
  readonly build: string;
  readonly capabilities: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly workerCount: number;
  /** Of its process; "" where it does not say. */
  readonly instance?: string;
}

/** What a node says it serves. */
export interface NodeHolding {
  readonly epoch: { readonly counter: number; readonly id: Uint8Array };
  readonly publication: number;
  readonly stateHash: Uint8Array;
}

/** What a node says of itself. */
export interface NodeSelf {
  readonly facts: NodeFacts;
  readonly have: NodeHolding | null;
}

export type ReadHello = ({ readonly ok: true } & NodeSelf) | { readonly ok: false; readonly problem: string };

const ID_MAX_LENGTH = 128;
const TEXT_MAX_LENGTH = 256;
const ENTRY_MAX_COUNT = 64;
const EPOCH_ID_BYTES = 16;
const HASH_BYTES = 32;

/** Checks a node's first message. */
export function readHello(hello: Hello): ReadHello {
  const problem = helloProblem(hello);
  if (problem !== null) return { ok: false, problem };
  const have = readHolding(hello.have);
  if (have === "malformed") return { ok: false, problem: "have: not an epoch, a publication and a state hash" };
  const { nodeId: id, hostname, build, capabilities, labels, instance } = hello;
  const workerCount = Math.max(0, hello.workerCount);
  return { ok: true, facts: { id, hostname, build, capabilities, labels, workerCount, instance }, have };
}

/** An epoch that a node tells; no more of its id than one has. */
export function toldEpoch({ counter, id }: Epoch): StoreEpoch {
  // A copy: the id is a part of the message as it came, which would stay in memory with it.
  return { counter: toldCount(counter), id: new Uint8Array(id.subarray(0, EPOCH_ID_BYTES)) };
}

/** A state hash that a node tells; empty where it is none. A copy, as of an epoch's id. */
export function toldHash(told: Uint8Array): Uint8Array {
  return new Uint8Array(told.length === HASH_BYTES ? told : []);
}

function helloProblem(hello: Hello): string | null {
  if (!/^[\x21-\x7e]+$/.test(hello.nodeId) || hello.nodeId.length > ID_MAX_LENGTH) {
    return `node_id: must be 1 to ${ID_MAX_LENGTH} printable ASCII characters`;
  }
  const labels = Object.entries(hello.labels);
  if (labels.length > ENTRY_MAX_COUNT) return `labels: at most ${ENTRY_MAX_COUNT}`;
  if (hello.capabilities.length > ENTRY_MAX_COUNT) return `capabilities: at most ${ENTRY_MAX_COUNT}`;
  const texts = [hello.hostname, hello.build, hello.instance, ...hello.capabilities, ...labels.flat()];
  if (texts.some((text) => text.length > TEXT_MAX_LENGTH)) return `a text is longer than ${TEXT_MAX_LENGTH} characters`;
  return null;
}

/** null: the node serves nothing. */
function readHolding(have: Holding | undefined): NodeHolding | null | "malformed" {
  if (have === undefined || (have.publication === 0n && have.stateHash.length === 0)) return null;
  const counter = Number(have.epoch?.counter ?? -1);
  const publication = Number(have.publication);
  const stateHash = toldHash(have.stateHash);
  if (!isCount(counter) || !isCount(publication) || stateHash.length === 0) return "malformed";
  return { epoch: toldEpoch(have.epoch!), publication, stateHash };
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
