import type { Socket } from "node:net";
import { defaultBalancing, type InFlightConfig } from "../config/balancing-config.ts";
import type { PoolConfig } from "../config/worker-config.ts";
import { answerText, backend, get, type RawMessage, type Rig, until } from "./proxy-server.test-rig.ts";

export const status = ({ head }: RawMessage): number => Number(head.slice(9, 12));

export function limited(inFlight: Partial<InFlightConfig>): Partial<PoolConfig> {
  return {
    balancing: { ...defaultBalancing, inFlight: { max: null, queueSize: 0, queueTimeoutMs: 60_000, ...inFlight } },
  };
}

/** A target that answers when it is told to, in whatever order, and knows how many it had at once. */
export async function patientTarget() {
  const waiting: { readonly path: string; readonly socket: Socket }[] = [];
  let most = 0;
  const target = await backend(({ head }, socket) => {
    waiting.push({ path: head.split(" ")[1]!, socket });
    most = Math.max(most, waiting.length);
  });
  return {
    port: target.port,
    waiting,
    target,
    get most() {
      return most;
    },
    paths: () => waiting.map(({ path }) => path),
    /** Answers the one that came first of those that wait. */
    answer(text = answerText("ok")): void {
      waiting.shift()!.socket.write(text);
    },
  };
}

/** Clients that have asked for /0, /1 and so on, each after the one before was admitted or waits. */
export async function askAll(proxy: Rig, count: number, text: (path: string) => string = get) {
  const clients = [];
  for (let i = 0; i < count; i++) {
    const before = proxy.counter("requests");
    clients.push(proxy.client().send(text(`/${i}`)));
    await until(() => proxy.counter("requests") === before + 1);
  }
  return clients;
}
