import type { Socket } from "node:net";

/** What every HTTP/2 client sends first (RFC 9113, section 3.4). */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/**
 * Waits until the first bytes of a connection tell HTTP/1.1 from HTTP/2, and leaves the socket paused with these
 * bytes unread. A connection that stays undecided is closed.
 *
 * @param timeoutMs how long the first bytes may take
 */
export function sniffProtocol(socket: Socket, timeoutMs: number, decided: (protocol: "http1" | "http2") => void): void {
  let head: Buffer = Buffer.alloc(0);
  const onData = (bytes: Buffer) => {
    head = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
    const comparedBytes = Math.min(head.length, preface.length);
    const isPrefix = head.compare(preface, 0, comparedBytes, 0, comparedBytes) === 0;
    if (isPrefix && head.length < preface.length) return;
    stop();
    socket.pause();
    socket.unshift(head);
    // In the next turn: a server that takes the socket over inside its own data event misses bytes that follow.
    setImmediate(() => {
      socket.off("error", onError);
      if (!socket.destroyed) decided(isPrefix ? "http2" : "http1");
    });
  };
  // Without a listener an error would be thrown; "close" follows and is all that matters.
  const onError = () => {};
  const onEnd = () => socket.destroy();
  const timer = setTimeout(onEnd, timeoutMs);
  const stop = () => {
    clearTimeout(timer);
    socket.off("data", onData);
    socket.off("end", onEnd);
    socket.off("close", stop);
  };
  socket.on("error", onError);
  socket.on("data", onData);
  socket.on("end", onEnd);
  socket.on("close", stop);
}
