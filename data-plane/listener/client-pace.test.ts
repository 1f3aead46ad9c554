import { describe, expect, it } from "vitest";
import { type ClientLimits, defaultClientLimits } from "../proxy/client-limits.ts";
import type { ByteSocket } from "../socket/byte-socket.ts";
import { DeadlineWheel, tickMs } from "../upstream/deadline-wheel.ts";
import { ClientPace, type Duty } from "./client-pace.ts";

function wheelOfTest() {
  return new DeadlineWheel((error) => {
    throw error;
  });
}

/** A pace over a wheel that a test turns, and a socket that says what a test wants. */
class Rig {
  readonly engine: { wheel: DeadlineWheel; limits: ClientLimits; slowTakerCutAt: number };
  readonly socket = { pendingBytes: 0, unsentBytes: 0, hasPending: false };
  readonly late: Duty[] = [];
  readonly pace: ClientPace;

  /** @param beside another client of the same worker */
  constructor(beside: Rig | null = null) {
    this.engine = beside?.engine ?? {
      wheel: wheelOfTest(),
      limits: defaultClientLimits,
      slowTakerCutAt: Number.NEGATIVE_INFINITY,
    };
    const { socket, late } = this;
    this.pace = new ClientPace(socket as unknown as ByteSocket, this.engine, (duty) => late.push(duty));
  }

  /** Lets time pass. @param each called once a second */
  pass(seconds: number, each: () => void = () => {}): void {
    for (let second = 0; second < seconds; second++) {
      each();
      for (let i = 0; i < 1_000 / tickMs; i++) this.engine.wheel.tick();
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

  it.each([0, 1, 3, 7])("finds a client that stops after %d s within 11 s of that", (seconds) => {
    const rig = new Rig();
    rig.pending(1_000_000, 131_072);
    rig.pace.awaitAnswer();
    rig.pass(seconds, () => rig.pending(rig.socket.pendingBytes - 65_536, 131_072));
    rig.pass(9);
    expect(rig.late).toEqual([]);
    rig.pass(2);
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

  describe("when another client was cut, which frees memory of the kernel", () => {
    /** Two clients that stand still, and the one that began earlier is cut. @param laterBySeconds the other one began so much later */
    function oneCut(laterBySeconds: number) {
      const first = new Rig();
      const second = new Rig(first);
      first.pending(300_000, 131_072);
      first.pace.awaitAnswer();
      first.pass(laterBySeconds);
      second.pending(300_000, 131_072);
      second.pace.awaitAnswer();
      while (first.late.length === 0) first.engine.wheel.tick();
      return second;
    }
    const ways = [
      { way: "part of a write", take: (rig: Rig) => rig.pending(300_000, 65_536) },
      { way: "a write", take: (rig: Rig) => rig.pending(200_000, 131_072) },
      {
        way: "all that waited",
        take(rig: Rig) {
          rig.pending(0, 0);
          rig.pace.answerRests();
          rig.pending(300_000, 131_072);
          rig.pace.awaitAnswer();
        },
      },
    ];

    it.each(ways)("does not take $way that the kernel takes then for the client's doing", ({ take }) => {
      const second = oneCut(1.5);
      take(second);
      second.pass(2);
      expect(second.late).toEqual(["answer"]);
    });

    it.each(ways)("believes a client that goes on taking: $way", ({ take }) => {
      const second = oneCut(4);
      take(second);
      second.pass(2.5);
      second.pending(100_000, 50_000);
      second.pass(9);
      expect(second.late).toEqual([]);
    });

    it.each(ways)("believes a client that had not stood still for long: $way", ({ take }) => {
      const second = oneCut(6);
      take(second);
      second.pass(9);
      expect(second.late).toEqual([]);
    });
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
