import { connectionRoom, openDescriptorLimit } from "./descriptor-limit.ts";
import { watchDescriptors } from "./descriptor-watch.ts";
import { LoopRest } from "./listener/loop-rest.ts";
import type { NodeLoad } from "./listener/node-load.ts";
import type { Log } from "./telemetry/log.ts";
import type { Timers } from "./upstream/timers.ts";

export interface DescriptorGuardInput {
  /** What the option says of connections of clients; null without it. */
  readonly wantedMaxCount: number | null;
  /** Workers that there can be at once. */
  readonly threadCount: number;
  /** Where the workers read it. */
  readonly load: NodeLoad;
  readonly log: Log;
  readonly timers: Timers;
}

/**
 * Lets no more clients in than there are file descriptors for, whatever the option says; and where descriptors run out
 * all the same, tells the workers, and slows this thread's loop down, which accepts, too: connections of clients or of
 * whoever asks for the node's status. @returns what ends it
 */
export function guardDescriptors({ wantedMaxCount, threadCount, load, log, timers }: DescriptorGuardInput): () => void {
  const readLimit = openDescriptorLimit();
  const rest = new LoopRest();
  let descriptors = readLimit();

  /** Whoever may change the limit of a process that runs (prlimit) has no reason to tell it. */
  function heedLimit(): void {
    descriptors = readLimit();
    load.connectionMaxCount = connectionRoom(descriptors, threadCount);
  }

  heedLimit();
  if (wantedMaxCount !== null && wantedMaxCount > load.connectionMaxCount) {
    const connectionsMax = load.connectionMaxCount;
    log.warn(
      { wanted: wantedMaxCount, connectionsMax, descriptors },
      "connections-max is more than the limit of open files is enough for: fewer are let in; raise that limit",
    );
  }
  const end = watchDescriptors({
    timers,
    onShort() {
      heedLimit();
      load.isOutOfDescriptors = true;
      rest.set(true);
      log.warn({ descriptors }, "no file descriptor is left: idle connections to targets are closed, new clients wait");
    },
    onRecovered() {
      heedLimit();
      load.isOutOfDescriptors = false;
      rest.set(false);
      log.info({ descriptors }, "there are file descriptors again");
    },
  });
  return () => {
    end();
    rest.set(false);
  };
}
