import type { Worker } from "node:worker_threads";
import type { StoredKind } from "../resource/checked.ts";
import type { MessageOf } from "../resource/draft.ts";
import type { BodySealer } from "./body-sealer.ts";
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
export async function startEngine(options: EngineOptions, sealer: BodySealer, worker?: Worker): Promise<StartedEngine> {
  const thread = new EngineThread(worker);
  try {
    const result = await thread.call("open", options);
    if (result.status === "locked") throw new StoreLockedError(options.path, result.ownerPid);
    if (result.status === "unusable") throw new StoreUnusableError(options.path, result.reason);
    sealer.open();
    const image = await loadImage(thread, sealer);
    image.advance(result.engine.revision, result.engine.publication);
    // Only now: without a key, nothing sealed was found.
    const warnings = [...result.engine.warnings, ...sealer.ensureKey()];
    return { thread, opened: { ...result.engine, warnings }, image };
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
async function loadImage(thread: EngineThread, sealer: BodySealer): Promise<MemoryImage> {
  const image = new MemoryImage();
  let after: ResourcePosition | null = null;
  for (;;) {
    const part: readonly LoadedResource[] = await thread.call("loadResources", after);
    if (part.length === 0) return image;
    for (const { kind, id, revision, body: storedBody, uniqueKeys, references } of part) {
      const body = sealer.unseal(kind, id, storedBody);
      const stored = { kind, id, revision, body, message: decodeStored(kind, id, body) };
      image.put({ stored, uniqueKeys, references });
    }
    const { kind, id } = part.at(-1)!;
    after = { kind, id };
  }
}

function decodeStored(kind: StoredKind, id: string, body: Uint8Array): MessageOf[StoredKind] {
  try {
    return decodeResource(kind, body);
  } catch (cause) {
    throw new Error(`the stored ${kind} ${id} cannot be decoded`, { cause });
  }
}
