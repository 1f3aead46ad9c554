import {
  constants,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { cutOffAbove } from "../http2/cut-off.ts";
import { limitControlFrames } from "../http2/limit-control-frames.ts";
import { limitHeads } from "../http2/limit-heads.ts";
import { servePaced } from "../http2/paced-socket.ts";
import { FewPerTurn, type Queued } from "../steps/few-per-turn.ts";
import type { AnyRequest, AnyResponse } from "./answer.ts";

export interface Http2Limits {
  /** Streams open at once in a session. */
  readonly maxConcurrentStreams: number;
  /** Streams of a session that may end by a reset, within a second. */
  readonly maxResetsPerSecond: number;
  /** A session without any stream is closed after this long. */
  readonly idleTimeoutMs: number;
  /** Header bytes of one request. */
  readonly headerMaxBytes: number;
}

/** Calls that are begun in one turn of the event loop, fewer where turns take longer than that: a long list takes 40 ms. */
const callsPerTurn = 8;
const msPerTurn = 10;
/** Read of a session at a time: 150 calls at most, which take 15 ms. */
const pieceBytes = 4 * 1024;

/** Of answers that the other end of a session has not taken, beside the largest, beyond which its calls are refused. */
const untakenMaxBytes = 4 * 1024 * 1024;

interface Call extends Queued {
  readonly request: Http2ServerRequest;
  readonly response: Http2ServerResponse;
}

/** HTTP/2 for sockets that are handed to it. */
export interface Http2Sessions {
  accept(socket: Socket): void;
  /** Takes no new streams; sessions end with their last one. */
  close(): void;
}

/**
 * HTTP/2 without TLS, with limits that node:http2 lacks: a session whose streams keep being reset is cut off
 * (rapid reset, and its like in which we are made to reset), as is one that sends pings or settings all the time, and one
 * that is idle; and calls of one that leaves its answers are refused. Of calls that come at once, others' requests are
 * served between a few and the next few.
 */
export function http2Sessions(
  handle: (request: AnyRequest, response: AnyResponse) => void,
  limits: Http2Limits,
): Http2Sessions {
  /** Each with its streams. */
  const open = new Map<Http2Session, ReadonlySet<ServerHttp2Stream>>();
  let isClosing = false;
  const { maxConcurrentStreams, headerMaxBytes } = limits;
  const server = createServer({
    settings: { maxConcurrentStreams, maxHeaderListSize: headerMaxBytes },
    // The library cuts a flood off while it parses: one read of the socket can hold thousands of resets.
    streamResetBurst: limits.maxResetsPerSecond,
    streamResetRate: limits.maxResetsPerSecond,
  });
  server.on("session", (session) => {
    session.once("close", () => open.delete(session));
    limitControlFrames(session);
    limitHeads(session);
    open.set(session, guardSession(session, limits));
    if (isClosing) session.close();
  });
  const calls = new FewPerTurn<Call>(
    callsPerTurn,
    ({ request, response }) => {
      const { stream } = response;
      if (stream.destroyed || stream.closed || stream.session === undefined) return;
      // Nothing was done: gRPC's clients try it once more by themselves.
      if (untakenBesideLargest(open.get(stream.session)) > untakenMaxBytes)
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else handle(request, response);
    },
    msPerTurn,
  );
  server.on("request", (request, response) => calls.add({ request, response, isQueued: false }));
  return {
    accept: (socket) => servePaced(server, socket, pieceBytes),
    close() {
      isClosing = true;
      for (const session of open.keys()) session.close();
    },
  };
}

/** Untaken bytes of all answers but the largest: who loads that slowly is no reason to refuse anything. */
function untakenBesideLargest(streams: ReadonlySet<ServerHttp2Stream> = new Set()): number {
  let bytes = 0;
  let largestBytes = 0;
  for (const { writableLength } of streams) {
    bytes += writableLength;
    largestBytes = Math.max(largestBytes, writableLength);
  }
  return bytes - largestBytes;
}

/** @returns the session's streams, as they come and go */
function guardSession(session: ServerHttp2Session, limits: Http2Limits): ReadonlySet<ServerHttp2Stream> {
  const streams = new Set<ServerHttp2Stream>();
  // A timer of our own: the session's keeps sessions that ended badly in memory until it fires.
  let idleTimer: NodeJS.Timeout | undefined;
  const startIdling = () => {
    if (!session.destroyed) idleTimer = setTimeout(() => session.close(), limits.idleTimeoutMs);
  };
  const countReset = cutOffAbove(session, limits.maxResetsPerSecond);
  startIdling();
  session.once("close", () => clearTimeout(idleTimer));
  session.on("stream", (stream: ServerHttp2Stream) => {
    streams.add(stream);
    clearTimeout(idleTimer);
    stream.once("close", () => {
      streams.delete(stream);
      if (streams.size === 0) startIdling();
      if (stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) countReset();
    });
  });
  return streams;
}
