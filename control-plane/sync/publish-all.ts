import type { Channels } from "../snapshot/channels.ts";
import type { StepQueue } from "../steps/step-queue.ts";
import { untilDone } from "../steps/until-done.ts";
import type { Store } from "../store/store.ts";

/**
 * What is written while all is published takes less time than that did, and so on. Under writes without end something is
 * left each time: after so many it is little, and is published in one turn.
 */
const SLICED_TRIES_MAX = 3;

/** Resolves in a turn of the event loop in which all is published as it is stored then. */
export async function publishAll(queue: StepQueue, channels: Channels, image: Store["image"]): Promise<void> {
  for (let tries = 0; tries < SLICED_TRIES_MAX; tries++) {
    const publication = await new Promise<number>((resolve) => {
      let begunAt = -1;
      const steps = () => {
        begunAt = image.publication;
        return channels.refreshSteps();
      };
      queue.add(steps, (publish) => {
        publish?.();
        resolve(begunAt);
      });
    });
    if (publication === image.publication) return;
  }
  await new Promise<void>((resolve) =>
    queue.between(() => {
      // Also where that fails, as above: who waits judges by what there is.
      resolve();
      untilDone(channels.refreshSteps())();
    }),
  );
}
