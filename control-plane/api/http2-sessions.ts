import {
  constants,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { cutOffAbove } from "../sync/cut-off.ts";
import { FewPerTurn, type Queued } from "../sync/few-per-turn.ts";
import { limitControlFrames } from "../sync/limit-control-frames.ts";
import { limitHeads } from "../sync/limit-heads.ts";
import { servePaced } from "../sync/paced-socket.ts";
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
 * that is idle. Of calls that come at once, others' requests are served between a few and the next few.
 */
export function http2Sessions(
  handle: (request: AnyRequest, response: AnyResponse) => void,
  limits: Http2Limits,
): Http2Sessions {
  const open = new Set<ServerHttp2Session>();
  let isClosing = false;
  const { maxConcurrentStreams, headerMaxBytes } = limits;
  const server = createServer({
    settings: { maxConcurrentStreams, maxHeaderListSize: headerMaxBytes },
    // The library cuts a flood off while it parses: one read of the socket can hold thousands of resets.
    streamResetBurst: limits.maxResetsPerSecond,
    streamResetRate: limits.maxResetsPerSecond,
  });
  server.on("session", (session) => {
    open.add(session);
    session.once("close", () => open.delete(session));
    limitControlFrames(session);
    limitHeads(session);
    guardSession(session, limits);
    if (isClosing) session.close();
  });
  const calls = new FewPerTurn<Call>(
    callsPerTurn,
    ({ request, response }) => {
      if (!response.stream.destroyed && !response.stream.closed) handle(request, response);
    },
    msPerTurn,
  );
  server.on("request", (request, response) => calls.add({ request, response, isQueued: false }));
  return {
    accept: (socket) => servePaced(server, socket, pieceBytes),
    close() {
      isClosing = true;
      for (const session of open) session.close();
    },
  };
}

function guardSession(session: ServerHttp2Session, limits: Http2Limits): void {
  let streamCount = 0;
  // A timer of our own: the session's keeps sessions that ended badly in memory until it fires.
  let idleTimer: NodeJS.Timeout | undefined;
  const startIdling = () => {
    if (!session.destroyed) idleTimer = setTimeout(() => session.close(), limits.idleTimeoutMs);
  };
  const countReset = cutOffAbove(session, limits.maxResetsPerSecond);
  startIdling();
  session.once("close", () => clearTimeout(idleTimer));
  session.on("stream", (stream: ServerHttp2Stream) => {
    streamCount++;
    clearTimeout(idleTimer);
    stream.once("close", () => {
      if (--streamCount === 0) startIdling();
      if (stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) countReset();
    });
  });
}
