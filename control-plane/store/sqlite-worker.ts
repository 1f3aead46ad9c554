import assert from "node:assert/strict";
import { parentPort } from "node:worker_threads";
import type { EngineReply, EngineRequest } from "./engine-call.ts";
import { SqliteEngine } from "./sqlite-engine.ts";

// Entry of the thread that holds the database. SQLite's sync of the disk blocks its thread, for 100 ms and more on a
// busy disk, so it gets one where nobody waits for anything else.

assert(parentPort, "sqlite-worker.ts runs as a worker thread");
const port = parentPort;
let engine: SqliteEngine | null = null;

// One call after the other: a commit between the awaits of a prune would find itself in the prune's transaction.
let last: Promise<void> = Promise.resolve();
port.on("message", (request: EngineRequest) => {
  last = last.then(() => answer(request));
});

async function answer(request: EngineRequest): Promise<void> {
  let reply: EngineReply;
  try {
    reply = { call: request.call, ok: true, result: await perform(request) };
  } catch (error) {
    reply = { call: request.call, ok: false, message: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(reply);
  // Without its port, nothing keeps the thread.
  if (request.name === "close") port.close();
}

async function perform(request: EngineRequest) {
  if (request.name === "open") {
    const opened = await SqliteEngine.open(request.argument);
    engine = opened.engine;
    return opened.result;
  }
  assert(engine, `${request.name} before open`);
  switch (request.name) {
    case "loadResources":
      return engine.loadResources(request.argument);
    case "commit":
      return engine.commit(request.argument);
    case "readChanges":
      return engine.readChanges(request.argument);
    case "prune":
      return engine.prune(request.argument);
    case "close":
      return engine.close();
  }
}
