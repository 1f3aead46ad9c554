import { connect } from "node:net";
import { onTestFinished } from "vitest";

/** Who may send so many is not cut off. */
export const framesMax = 100_000;
const framesPerTurn = 50;

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const uint32 = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

/** A frame of HTTP/2 (RFC 9113 section 4.1). */
function frame(type: number, flags: number, stream: number, payload: readonly number[]): Buffer {
  const { length } = payload;
  return Buffer.from([length >> 16, (length >> 8) & 255, length & 255, type, flags, ...uint32(stream), ...payload]);
}

const text = (value: string) => [value.length, ...Buffer.from(value)];
const field = (name: string, value: string) => [0, ...text(name), ...text(value)];
/** POST http, path, authority and what gRPC wants beside them, in HPACK's literals. */
function callHead(path: string): readonly number[] {
  return [
    ...[0x83, 0x86, 0x04, ...text(path), 0x01, ...text("localhost")],
    ...[...field("content-type", "application/grpc"), ...field("te", "trailers")],
  ];
}

const [data, headers, priority, reset, settings, ping, windowUpdate, continuation] = [0, 1, 2, 3, 4, 6, 8, 9];
const endHeaders = 4;

/** What comes once, and then over and over; `n` counts from 0. */
export interface Flood {
  readonly name: string;
  readonly first?: Buffer;
  readonly nth: (n: number) => Buffer;
}

/** Floods of an HTTP/2 port that serves streams in both directions. @param path of such a call */
export function http2Floods(path: string): readonly Flood[] {
  const head = callHead(path);
  const open = (n: number) => frame(headers, endHeaders, 2 * n + 1, head);
  return [
    { name: "calls that it resets", nth: (n) => Buffer.concat([open(n), frame(reset, 0, 2 * n + 1, uint32(8))]) },
    {
      name: "calls that it makes us reset",
      nth: (n) => Buffer.concat([open(n), frame(windowUpdate, 0, 2 * n + 1, uint32(0x7fff_ffff))]),
    },
    {
      name: "a head that does not end",
      first: frame(headers, 0, 1, head),
      nth: () => frame(continuation, 0, 1, field("a", "b".repeat(100))),
    },
    { name: "pings", nth: () => frame(ping, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]) },
    { name: "settings", nth: () => frame(settings, 0, 0, []) },
    { name: "data of no bytes", first: open(0), nth: () => frame(data, 0, 1, []) },
    { name: "priorities", nth: () => frame(priority, 0, 1, [...uint32(0), 16]) },
  ];
}

/** Sends one flood. Resolves with how many frames it took until the connection was closed; `framesMax` when it was not. */
export async function framesUntilCutOff(port: number, { first, nth }: Flood): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {});
  socket.resume();
  const isClosed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.write(Buffer.concat([preface, frame(settings, 0, 0, []), first ?? Buffer.alloc(0)]));
  for (let sent = 0; sent < framesMax; sent += framesPerTurn) {
    if (socket.destroyed) return sent;
    const some = Array.from({ length: framesPerTurn }, (_, i) => nth(sent + i));
    const isRead = socket.write(Buffer.concat(some));
    const drained = new Promise<void>(
      (resolve) => void (isRead ? setImmediate(resolve) : socket.once("drain", resolve)),
    );
    await Promise.race([drained, isClosed]);
  }
  return framesMax;
}
