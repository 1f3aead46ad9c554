import type { RunningProcess } from "./child-process.ts";

/** To be put into the environment of a process whose garbage is to be collected from outside. */
export const inspectable = { NODE_OPTIONS: "--inspect=127.0.0.1:0" };

/** What the inspector sends; which fields are there depends on what it is. */
interface InspectorMessage {
  readonly id?: number;
  readonly method?: string;
  readonly error?: { readonly message: string };
  readonly params?: { readonly sessionId: string; readonly message: string };
}

const listening = "Debugger listening on ";

/**
 * One connection to the inspector of a process, and through it to those of its worker threads. Kept for as long as it is
 * needed: threads that are attached to and left again and again while the machine is busy have been seen to hang.
 */
export class GarbageCollector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, (answer: InspectorMessage) => void>();
  readonly #workerSessions = new Set<string>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#receive("", JSON.parse(data as string) as InspectorMessage));
  }

  /** @param process started with `inspectable` */
  static async open(process: RunningProcess): Promise<GarbageCollector> {
    const line = process.lines.find((one) => one.startsWith(listening));
    if (line === undefined) throw new Error("the process was not started to be inspected");
    const socket = new WebSocket(line.slice(listening.length));
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("the inspector does not answer")));
    });
    const collector = new GarbageCollector(socket);
    // Tells of the workers that there are before it answers, and of others when they start.
    await collector.#call("", "NodeWorker.enable", { waitForDebuggerOnStart: false });
    return collector;
  }

  /**
   * Has every thread collect all its garbage and give free memory back.
   * @returns how many threads did
   */
  async collect(): Promise<number> {
    const sessions = ["", ...this.#workerSessions];
    // What a first collection finds to be garbage may hold memory that only a second one frees.
    for (let i = 0; i < 2; i++)
      for (const session of sessions) await this.#call(session, "HeapProfiler.collectGarbage");
    return sessions.length;
  }

  close(): void {
    this.#socket.close();
  }

  #receive(session: string, { id, method, params, error }: InspectorMessage): void {
    if (id !== undefined) this.#waiting.get(`${session} ${id}`)?.({ id, ...(error && { error }) });
    else if (method === "NodeWorker.attachedToWorker") this.#workerSessions.add(params!.sessionId);
    else if (method === "NodeWorker.detachedFromWorker") this.#workerSessions.delete(params!.sessionId);
    else if (method === "NodeWorker.receivedMessageFromWorker")
      this.#receive(params!.sessionId, JSON.parse(params!.message) as InspectorMessage);
  }

  /** @param session of a worker; empty for the main thread. Errors: rejects when the inspector does not do it. */
  async #call(session: string, method: string, params: object = {}): Promise<void> {
    const id = ++this.#lastId;
    const text = JSON.stringify({ id, method, params });
    const answered = new Promise<InspectorMessage>((resolve) => this.#waiting.set(`${session} ${id}`, resolve));
    if (session === "") this.#socket.send(text);
    else await this.#call("", "NodeWorker.sendMessageToWorker", { sessionId: session, message: text });
    const { error } = await answered;
    this.#waiting.delete(`${session} ${id}`);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
  }
}
