import type { Http2ServerRequest, Http2ServerResponse, Http2Session, ServerHttp2Stream } from "node:http2";
import { FewPerTurn, type Queued } from "../sync/few-per-turn.ts";

/** Calls that are begun in one turn of the event loop, fewer where turns take longer than that: a long list takes 40 ms. */
const callsPerTurn = 8;
const msPerTurn = 10;
/** Of answers that the other end of a session has not taken, beyond which no further call of it is begun. */
const untakenMaxBytes = 1024 * 1024;

interface Call extends Queued {
  readonly request: Http2ServerRequest;
  readonly response: Http2ServerResponse;
}

/** What a session has under way. */
interface Caller {
  readonly streams: Set<ServerHttp2Stream>;
  /** Calls that wait until more of its answers are taken. */
  readonly held: Call[];
}

/**
 * Begins the calls that come over HTTP/2. Of many at once a few are begun in a turn of the event loop, so that others'
 * requests are served in between; and who asks for more than it reads waits, for all that it has not taken is in memory:
 * 100 lists of 2 MB took 200 MB.
 */
export class CallQueue {
  readonly #handle: (request: Http2ServerRequest, response: Http2ServerResponse) => void;
  readonly #callers = new WeakMap<Http2Session, Caller>();
  readonly #turns = new FewPerTurn<Call>(callsPerTurn, (call) => this.#begin(call), msPerTurn);

  /** @param handle must not throw */
  constructor(handle: (request: Http2ServerRequest, response: Http2ServerResponse) => void) {
    this.#handle = handle;
  }

  add(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const { stream } = response;
    const caller = this.#callerOf(stream);
    if (caller === null) return;
    const goOn = () => this.#goOn(caller);
    caller.streams.add(stream);
    stream.on("drain", goOn);
    stream.once("close", () => {
      caller.streams.delete(stream);
      goOn();
    });
    this.#turns.add({ request, response, isQueued: false });
  }

  /** Of a session's answers, what its other end has not taken. */
  untakenBytes(session: Http2Session): number {
    const caller = this.#callers.get(session);
    return caller === undefined ? 0 : untakenBytes(caller);
  }

  #begin(call: Call): void {
    const { stream } = call.response;
    const caller = this.#callerOf(stream);
    if (caller === null) return;
    if (untakenBytes(caller) > untakenMaxBytes) caller.held.push(call);
    else this.#handle(call.request, call.response);
  }

  #goOn(caller: Caller): void {
    if (caller.held.length === 0 || untakenBytes(caller) > untakenMaxBytes) return;
    for (const call of caller.held.splice(0, callsPerTurn)) this.#turns.add(call);
  }

  /** Null where the stream has ended. */
  #callerOf({ session, destroyed, closed }: ServerHttp2Stream): Caller | null {
    if (session === undefined || destroyed || closed) return null;
    const known = this.#callers.get(session);
    if (known !== undefined) return known;
    const caller: Caller = { streams: new Set(), held: [] };
    this.#callers.set(session, caller);
    return caller;
  }
}

function untakenBytes({ streams }: Caller): number {
  let bytes = 0;
  for (const { writableLength } of streams) bytes += writableLength;
  return bytes;
}
