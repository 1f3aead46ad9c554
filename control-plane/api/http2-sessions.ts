import { constants, createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { cutOff, cutOffAbove } from "../sync/cut-off.ts";
import { limitControlFrames } from "../sync/limit-control-frames.ts";
import { limitHeads } from "../sync/limit-heads.ts";
import { servePaced } from "../sync/paced-socket.ts";
import type { AnyRequest, AnyResponse } from "./answer.ts";
import { CallQueue } from "./call-queue.ts";

export interface Http2Limits {
  /** Streams open at once in a session. */
  readonly maxConcurrentStreams: number;
  /** Streams of a session that may end by a reset, within a second. */
  readonly maxResetsPerSecond: number;
  /** A session without any stream is closed after this long. */
  readonly idleTimeoutMs: number;
  /** Header bytes of one request. */
  readonly headerMaxBytes: number;
  /** Bytes of answers that were not taken, of all sessions. */
  readonly untakenMaxBytes: number;
}

const lookEveryMs = 250;

/** HTTP/2 for sockets that are handed to it. */
export interface Http2Sessions {
  accept(socket: Socket): void;
  /** Takes no new streams; sessions end with their last one. */
  close(): void;
}

/**
 * HTTP/2 without TLS, with limits that node:http2 lacks: a session whose streams keep being reset is cut off
 * (rapid reset, and its like in which we are made to reset), as is one that sends pings or settings all the time, one
 * that is idle, and one that leaves more of its answers than any other while all leave too much.
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
  const calls = new CallQueue(handle);
  server.on("request", (request, response) => calls.add(request, response));
  const looks = setInterval(() => {
    const untaken = Array.from(open, (session) => ({ session, bytes: calls.untakenBytes(session) }));
    let bytes = untaken.reduce((sum, one) => sum + one.bytes, 0);
    if (bytes <= limits.untakenMaxBytes) return;
    for (const most of untaken.sort((a, b) => b.bytes - a.bytes)) {
      cutOff(most.session);
      bytes -= most.bytes;
      if (bytes <= limits.untakenMaxBytes) return;
    }
  }, lookEveryMs);
  looks.unref();
  return {
    accept: (socket) => servePaced(server, socket),
    close() {
      isClosing = true;
      clearInterval(looks);
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
