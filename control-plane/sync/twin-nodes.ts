import { status } from "@grpc/grpc-js";
import type { NodeFacts } from "./read-hello.ts";
import type { GateRefusal } from "./stream-gate.ts";

/** The process of a node's stream; "" for nodes of earlier versions, which do not say. */
export interface NodeProcess {
  readonly instance: string;
  readonly hostname: string;
  /** The process whose stream it took over; "" for none. */
  readonly replaced: string;
}

/**
 * Tells two processes that go by one node id, such as machines that were cloned with their state folder, from one that
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
    const isOther = older !== undefined && older.instance !== instance;
    this.#connected.set(id, { instance, hostname, replaced: (isOther ? older.instance : older?.replaced) ?? "" });
  }

  /** The node's stream has ended: whoever comes next is it. */
  left(id: string): void {
    this.#connected.delete(id);
  }

  /** Judges a hello; null lets it in. */
  judge({ id, instance = "", hostname }: NodeFacts): GateRefusal | null {
    const other = this.#connected.get(id);
    if (instance === "" || other === undefined || other.instance === "" || other.replaced !== instance) return null;
    const cause =
      `node ${id} runs twice, on ${other.hostname} and on ${hostname}: ` +
      "give this one a state folder and an id of its own";
    return { code: status.ALREADY_EXISTS, cause };
  }
}
