import { connect } from "node:net";
import type { Clock } from "./clock.ts";

/**
 * Asks whether anybody takes connections at an address, host:port. `done` is called once: with null when somebody is
 * there, else with why nobody is, for people.
 * @returns the way to give up; then `done` is not called
 */
export type Reach = (address: string, done: (problem: string | null) => void) => () => void;

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
    const socket = connect({ host, port });
    const end = (problem: string | null) => {
      stop();
      done(problem);
    };
    const stopTimer = clock.after(timeoutMs, () => end(`no connection to ${address} within ${timeoutMs} ms`));
    const stop = () => {
      stopTimer();
      socket.removeAllListeners("connect").removeAllListeners("error");
      // It may still fail, which is of no interest any more.
      socket.on("error", () => {});
      socket.destroy();
    };
    socket.on("connect", () => end(null));
    socket.on("error", (error) => end(error.message || (error as NodeJS.ErrnoException).code || "no connection"));
    return stop;
  };
}
