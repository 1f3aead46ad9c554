import { describe, expect, it } from "vitest";
import { defaultClientLimits } from "../proxy/client-limits.ts";
import type { ByteSocket } from "../socket/byte-socket.ts";
import { DeadlineWheel, tickMs } from "../upstream/deadline-wheel.ts";
import { ClientPace, type Duty } from "./client-pace.ts";

/** A pace over a wheel that a test turns, and a socket that says what a test wants. */
class Rig {
  readonly wheel = new DeadlineWheel((error) => {
    throw error;
  });
  readonly socket = { pendingBytes: 0, unsentBytes: 0, hasPending: false };
  readonly late: Duty[] = [];
  readonly pace = new ClientPace(
    this.socket as unknown as ByteSocket,
    { wheel: this.wheel, limits: defaultClientLimits },
    (duty) => this.late.push(duty),
  );

  /** Lets time pass. @param each called once a second */
  pass(seconds: number, each: () => void = () => {}): void {
    for (let second = 0; second < seconds; second++) {
      each();
      for (let i = 0; i < 1_000 / tickMs; i++) this.wheel.tick();
    }
  }

  pending(pendingBytes: number, unsentBytes: number): void {
    Object.assign(this.socket, { pendingBytes, unsentBytes, hasPending: pendingBytes > 0 });
  }
}

describe("ClientPace (row 43)", () => {
  it.each([
    ["nothing of a body", 0],
    ["a byte a second", 1],
    ["nearly enough", 100],
  ])("finds a client that sends %s, within 15 s and not before 10", (_, bytesPerSecond) => {
    const rig = new Rig();
    rig.pace.awaitBody();
    rig.pass(10, () => rig.pace.bodyCame(bytesPerSecond));
    expect(rig.late).toEqual([]);
    rig.pass(bytesPerSecond < 10 ? 5 : 15, () => rig.pace.bodyCame(bytesPerSecond));
    expect(rig.late).toEqual(["body"]);
  });

  it("lets a body take for ever that keeps up the rate", () => {
    const rig = new Rig();
    rig.pace.awaitBody();
    rig.pass(600, () => rig.pace.bodyCame(260));
    expect(rig.late).toEqual([]);
  });

  it("gives a client that was fast no more than the grace when it stops", () => {
    const rig = new Rig();
    rig.pace.awaitBody();
    rig.pass(30, () => rig.pace.bodyCame(1_000_000));
    rig.pass(15);
    expect(rig.late).toEqual(["body"]);
  });

  it("does not count the time in which the target took nothing", () => {
    const rig = new Rig();
    rig.pace.awaitBody();
    rig.pass(5);
    rig.pace.bodyRests();
    rig.pass(600);
    rig.pace.awaitBody();
    rig.pass(9);
    expect(rig.late).toEqual([]);
    rig.pass(6);
    expect(rig.late).toEqual(["body"]);
  });

  it.each([
    ["takes nothing", 0],
    ["takes a byte a second", 1],
  ])("finds a client that %s of its answer", (_, bytesPerSecond) => {
    const rig = new Rig();
    rig.pending(131_072, 131_072);
    rig.pace.awaitAnswer();
    rig.pass(10, () => rig.pending(131_072, rig.socket.unsentBytes - bytesPerSecond));
    expect(rig.late).toEqual([]);
    rig.pass(5, () => rig.pending(131_072, rig.socket.unsentBytes - bytesPerSecond));
    expect(rig.late).toEqual(["answer"]);
  });

  it("sees progress within one write, and over the end of writes", () => {
    const rig = new Rig();
    rig.pending(300_000, 131_072);
    rig.pace.awaitAnswer();
    rig.pass(100, () => rig.pending(300_000, rig.socket.unsentBytes - 300));
    // A write is done and the next, larger one begins.
    rig.pending(200_000, 200_000);
    rig.pass(9);
    rig.pending(100_000, 100_000);
    rig.pass(9);
    expect(rig.late).toEqual([]);
  });

  it("looks no more when everything was taken", () => {
    const rig = new Rig();
    rig.pending(1_000, 1_000);
    rig.pace.awaitAnswer();
    rig.pass(5);
    rig.pending(0, 0);
    rig.pass(600);
    expect(rig.late).toEqual([]);
  });

  it("tells nobody once its connection is gone", () => {
    const rig = new Rig();
    rig.pace.awaitBody();
    rig.pace.release();
    rig.pass(60);
    expect(rig.late).toEqual([]);
  });
});
