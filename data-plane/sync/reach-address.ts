import { connect, isIP } from "node:net";
import type { Clock } from "./clock.ts";

/**
 * Asks whether anybody takes connections at an address, host:port. `done` is called once: with null when somebody is
 * there, else with why nobody is, for people.
 * @returns the way to give up; then `done` is not called
 */
export type Reach = (address: string, done: (problem: string | null) => void) => () => void;

/** For a name to be resolved: as long as a stream that is opened may take. */
const LOOKUP_MAX_MS = 5_000;

/**
 * Connects by TCP and closes again, without a byte. That costs one that is not there nothing, and one that is there an
 * accepted connection. What is no host:port counts as there: whoever opens a stream can say better what is wrong.
 * @param timeoutMs for the connection to come about
 */
export function reachByTcp(clock: Clock, timeoutMs: number): Reach {
  return (address, done) => {
    const at = address.lastIndexOf(":");
    const host = address.slice(0, at).replace(/^\[(.*)\]$/, "$1");
    const port = Number(address.slice(at + 1));
    if (host === "" || !(port >= 1 && port <= 65_535)) {
      const next = setImmediate(() => done(null));
      return () => clearImmediate(next);
    }
    // Node gives an address 250 ms and then drops it for the next: less than a lost SYN, or a far network, takes.
    const socket = connect({ host, port, autoSelectFamilyAttemptTimeout: Math.ceil(timeoutMs * 0.6) });
    const end = (problem: string | null) => {
      stop();
      done(problem);
    };
    const endAfter = (ms: number) => clock.after(ms, () => end(`no connection to ${address} within ${ms} ms`));
    let stopTimer = endAfter(isIP(host) === 0 ? Math.max(timeoutMs, LOOKUP_MAX_MS) : timeoutMs);
    // The time is for the network: a resolver whose first server is gone takes longer, and the next look is no faster.
    socket.once("lookup", () => {
      stopTimer();
      stopTimer = endAfter(timeoutMs);
    });
    const stop = () => {
      stopTimer();
      socket.removeAllListeners("lookup").removeAllListeners("connect").removeAllListeners("error");
      // It may still fail, which is of no interest any more.
      socket.on("error", () => {});
      socket.destroy();
    };
    socket.on("connect", () => end(null));
    socket.on("error", (error) => end(error.message || (error as NodeJS.ErrnoException).code || "no connection"));
    return stop;
  };
}
