import type { Worker } from "node:worker_threads";
import type { Kind } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";
import { decodeResource } from "./decode-resource.ts";
import type { EngineOptions, LoadedResource, OpenedEngine, ResourcePosition } from "./engine-call.ts";
import { EngineThread } from "./engine-thread.ts";
import { MemoryImage } from "./memory-image.ts";
import { StoreLockedError, StoreUnusableError } from "./store-error.ts";

/** A thread with the database open, and the state that is in it. */
export interface StartedEngine {
  readonly thread: EngineThread;
  readonly opened: OpenedEngine;
  readonly image: MemoryImage;
}

/**
 * Starts the thread that holds the database, and loads the state.
 * Errors: StoreLockedError, StoreUnusableError; the thread is then gone and the lock free.
 */
export async function startEngine(options: EngineOptions, worker?: Worker): Promise<StartedEngine> {
  const thread = new EngineThread(worker);
  try {
    const result = await thread.call("open", options);
    if (result.status === "locked") throw new StoreLockedError(options.path, result.ownerPid);
    if (result.status === "unusable") throw new StoreUnusableError(options.path, result.reason);
    const image = await loadImage(thread);
    image.advance(result.engine.revision, result.engine.publication);
    return { thread, opened: result.engine, image };
  } catch (error) {
    // Closed if it will: then the owner.pid goes too.
    await thread.close().catch(() => thread.end());
    if (error instanceof StoreLockedError || error instanceof StoreUnusableError) throw error;
    throw new StoreUnusableError(options.path, error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}

/** In parts, so that the main thread does its other work in between. */
async function loadImage(thread: EngineThread): Promise<MemoryImage> {
  const image = new MemoryImage();
  let after: ResourcePosition | null = null;
  for (;;) {
    const part: readonly LoadedResource[] = await thread.call("loadResources", after);
    if (part.length === 0) return image;
    for (const { kind, id, revision, body, uniqueKeys, references } of part) {
      const stored = { kind, id, revision, body, message: decodeStored(kind, id, body) };
      image.put({ stored, uniqueKeys, references });
    }
    const { kind, id } = part.at(-1)!;
    after = { kind, id };
  }
}

function decodeStored(kind: Kind, id: string, body: Uint8Array): ResourceOf[Kind] {
  try {
    return decodeResource(kind, body);
  } catch (cause) {
    throw new Error(`the stored ${kind} ${id} cannot be decoded`, { cause });
  }
}
