import { status } from "@grpc/grpc-js";
import type { NodeFacts } from "./read-hello.ts";
import type { GateRefusal } from "./stream-gate.ts";

/** The process of a node's stream; "" for nodes of earlier versions, which do not say. */
export interface NodeProcess {
  readonly instance: string;
  readonly hostname: string;
  /** The processes whose stream it took over, itself or by another one that had; the last one at the end. */
  readonly replaced: readonly string[];
}

/** Replaced processes that are remembered of a node: as many clones of a machine tell themselves apart. */
const replacedMax = 100;

/**
 * Tells processes that go by one node id, such as machines that were cloned with their state folder, from one that
 * comes again. A stream that a newer one of another process has replaced may have been dead, as after a power cut; where
 * its process comes back while the newer one is there, both live, and would go on replacing each other.
 */
export class TwinNodes {
  readonly #connected = new Map<string, NodeProcess>();

  of(id: string): NodeProcess | undefined {
    return this.#connected.get(id);
  }

  /** @param older of the stream that this one takes over */
  connected({ id, instance = "", hostname }: NodeFacts, older: NodeProcess | undefined): void {
    const chain = older === undefined ? [] : [...older.replaced, older.instance];
    const replaced = chain.filter((one) => one !== "" && one !== instance).slice(-replacedMax);
    this.#connected.set(id, { instance, hostname, replaced });
  }

  /** The node's stream has ended: whoever comes next is it. */
  left(id: string): void {
    this.#connected.delete(id);
  }

  /** Judges a hello; null lets it in. */
  judge({ id, instance = "", hostname }: NodeFacts): GateRefusal | null {
    const other = this.#connected.get(id);
    if (instance === "" || other === undefined || other.instance === "") return null;
    if (!other.replaced.includes(instance)) return null;
    const cause =
      `node ${id} runs twice, on ${other.hostname} and on ${hostname}: ` +
      "give this one a state folder and an id of its own";
    return { code: status.ALREADY_EXISTS, cause };
  }
}
