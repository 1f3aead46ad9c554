import { describe, expect, it } from "vitest";
import { defaultClientLimits } from "../proxy/client-limits.ts";
import { ProxyCounters } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import type { ByteSocket } from "../socket/byte-socket.ts";
import { DeadlineWheel, tickMs } from "../upstream/deadline-wheel.ts";
import { type Awaited, ClientTimes } from "./client-times.ts";

/** The times of a client, over a wheel that a test turns and a socket that says what a test wants. */
class Rig {
  readonly wheel = new DeadlineWheel((error) => {
    throw error;
  });
  readonly socket = { pendingBytes: 0, unsentBytes: 0, hasPending: false };
  readonly late: Awaited[] = [];
  readonly times: ClientTimes;

  constructor() {
    const { wheel } = this;
    const engine = { wheel, limits: defaultClientLimits, counters: new ProxyCounters() };
    const onTooLate = (awaited: Awaited) => this.late.push(awaited);
    this.times = new ClientTimes(engine as unknown as ProxyEngine, {
      socket: this.socket as unknown as ByteSocket,
      onTooLate,
    });
  }

  pending(bytes: number): void {
    Object.assign(this.socket, { pendingBytes: bytes, unsentBytes: bytes, hasPending: bytes > 0 });
  }

  /** Lets time pass. @param each called once a second */
  pass(seconds: number, each: () => void = () => {}): void {
    for (let second = 0; second < seconds; second++) {
      each();
      for (let i = 0; i < 1_000 / tickMs; i++) this.wheel.tick();
    }
  }
}

describe("ClientTimes", () => {
  it("counts no time between requests while the client still takes the answer before", () => {
    const rig = new Rig();
    rig.times.headCame();
    rig.pending(131_072);
    rig.times.awaitRequest();
    rig.pass(300, () => rig.pending(rig.socket.pendingBytes - 300));
    expect(rig.late).toEqual([]);
    rig.pending(0);
    rig.pass(121);
    expect(rig.late).toEqual(["request"]);
  });

  it("ends a client that takes no more of the answer before", () => {
    const rig = new Rig();
    rig.times.headCame();
    rig.pending(131_072);
    rig.times.awaitRequest();
    rig.pass(15);
    expect(rig.late).toEqual(["answer"]);
  });
});
