import { Worker } from "node:worker_threads";
import type { EngineCallName, EngineCalls, EngineReply, EngineRequest } from "./engine-call.ts";

interface Waiting {
  resolve(result: EngineCalls[EngineCallName]["result"]): void;
  reject(error: Error): void;
}

/** The thread that holds the database, seen from the main thread: asynchronous calls, answered in order. */
export class EngineThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #lastCall = 0;
  #lostBy: Error | null = null;

  constructor(worker: Worker = startSqliteWorker()) {
    this.#worker = worker;
    worker.on("error", (error) => this.#lose(error));
    worker.on("message", (reply: EngineReply) => this.#receive(reply));
    this.#exited = new Promise((resolve) => {
      worker.once("exit", () => {
        this.#lose();
        resolve();
      });
    });
  }

  /** Why the thread has ended, of itself or by `end`; null while it has not. Every call then fails with this. */
  get lostBy(): Error | null {
    return this.#lostBy;
  }

  /**
   * Errors: rejects when the thread ends before it answered, in which case the call may or may not have been done,
   * and when it answers with an error.
   */
  call<Name extends EngineCallName>(name: Name, argument: EngineCalls[Name]["argument"]) {
    return new Promise<EngineCalls[Name]["result"]>((resolve, reject) => {
      if (this.#lostBy) return reject(this.#lostBy);
      const call = ++this.#lastCall;
      this.#worker.postMessage({ call, name, argument } as EngineRequest);
      // An answer is of the type that its call names, which a map of all calls cannot say.
      this.#waiting.set(call, { resolve: resolve as Waiting["resolve"], reject });
    });
  }

  /** Closes the database and waits until the thread is gone. */
  async close(): Promise<void> {
    await this.call("close", null);
    await this.#exited;
  }

  /** Ends the thread whatever it does; the lock of the file is free when this resolves. */
  async end(cause?: unknown): Promise<void> {
    this.#lose(cause);
    await this.#worker.terminate();
    await this.#exited;
  }

  #receive(reply: EngineReply): void {
    const waiting = this.#waiting.get(reply.call);
    this.#waiting.delete(reply.call);
    if (reply.ok) waiting?.resolve(reply.result);
    else waiting?.reject(new Error(reply.message));
  }

  #lose(cause?: unknown): void {
    // The first reason is the one that tells: an error is followed by the exit that it causes.
    this.#lostBy ??= new Error("the store's thread has ended", { cause });
    for (const waiting of this.#waiting.values()) waiting.reject(this.#lostBy);
    this.#waiting.clear();
  }
}

function startSqliteWorker(): Worker {
  const entry = import.meta.url.endsWith(".ts") ? "./sqlite-worker.ts" : "./sqlite-worker.js";
  // A small young generation: the thread handles bytes, not objects, and would keep 5 MB and more of it for nothing.
  const resourceLimits = { maxYoungGenerationSizeMb: 4 };
  return new Worker(new URL(entry, import.meta.url), { name: "store", resourceLimits });
}
