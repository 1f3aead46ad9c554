import { connect, type Socket } from "node:net";
import type { NameAddresses } from "./hosts-file.ts";
import type { Timers } from "./timers.ts";

export type AddressFamily = 4 | 6;

export interface FamilyRace {
  readonly addresses: NameAddresses;
  readonly port: number;
  /** The family in use, which is given a start of `headStartMs`; null when there is none yet. */
  readonly incumbent: AddressFamily | null;
}

/** The family that a connection comes about with first; null when none does in time. Never rejects. */
export type RaceFamilies = (race: FamilyRace) => Promise<AddressFamily | null>;

export interface FamilyRaceOptions {
  readonly timers: Timers;
  readonly timeoutMs: number;
  readonly headStartMs: number;
}

/** Addresses of each family that take part: one that is dead must not decide for the others. */
const ADDRESSES_MAX = 2;

/** Connects to the first addresses of both families at once, and closes what came about. */
export function raceFamilies({ timers, timeoutMs, headStartMs }: FamilyRaceOptions): RaceFamilies {
  return ({ addresses, port, incumbent }) =>
    new Promise((resolve) => {
      const sockets: Socket[] = [];
      let openCount = 0;
      const finish = (winner: AddressFamily | null) => {
        cancelStart();
        cancelTimeout();
        for (const socket of sockets) socket.destroy();
        resolve(winner);
      };
      const start = (family: AddressFamily) => {
        for (const host of (family === 4 ? addresses.v4 : addresses.v6).slice(0, ADDRESSES_MAX)) {
          const socket = connect({ host, port });
          socket.unref();
          sockets.push(socket);
          openCount++;
          socket.once("connect", () => finish(family));
          // Kept for good: a reset after the race must not become an uncaught exception.
          socket.on("error", () => {
            if (--openCount > 0) return;
            if (hasWaiting) startWaiting();
            else finish(null);
          });
        }
      };
      const waiting: AddressFamily = incumbent === 6 ? 4 : 6;
      let hasWaiting = incumbent !== null;
      const startWaiting = () => {
        cancelStart();
        hasWaiting = false;
        start(waiting);
      };
      let cancelStart = () => {};
      const cancelTimeout = timers.after(timeoutMs, () => finish(null));
      start(waiting === 6 ? 4 : 6);
      if (!hasWaiting) start(waiting);
      else cancelStart = timers.after(headStartMs, startWaiting);
    });
}
