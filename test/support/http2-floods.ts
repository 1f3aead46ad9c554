import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Who may send so many, or for so long, is not cut off. */
export const framesMax = 100_000;
const giveUpMs = 10_000;
const framesPerTurn = 50;

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const uint32 = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

/** A frame of HTTP/2 (RFC 9113 section 4.1). */
function frame(type: number, flags: number, stream: number, payload: readonly number[] | Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.from([length >> 16, (length >> 8) & 255, length & 255, type, flags, ...uint32(stream)]);
  return Buffer.concat([head, Buffer.from(payload)]);
}

/** A string of HPACK, its length in seven bits or, from 127 on, in two bytes more (RFC 7541 sections 5.1 and 5.2). */
function text(value: string): readonly number[] {
  const over = value.length - 127;
  const length = over < 0 ? [value.length] : [127, (over & 127) | 128, over >> 7];
  return [...length, ...Buffer.from(value)];
}
const field = (name: string, value: string) => [0, ...text(name), ...text(value)];
/** POST http, path, authority and what gRPC wants beside them, in HPACK's literals. */
function callHead(path: string, contentType = "application/grpc"): readonly number[] {
  return [
    ...[0x83, 0x86, 0x04, ...text(path), 0x01, ...text("localhost")],
    ...[...field("content-type", contentType), ...field("te", "trailers")],
  ];
}

const [data, headers, priority, reset, settings, ping, windowUpdate, continuation] = [0, 1, 2, 3, 4, 6, 8, 9];
const endStream = 1;
const endHeaders = 4;

/** The first entry of HPACK's dynamic table, of the 4,096 bytes that fit into it; and a frame full of references to it. */
const largeField = [0x40, ...text("a"), ...text("b".repeat(4_000))];
const references = Buffer.alloc(16_000, 0x80 | 62);
/** A message of gRPC in which nothing is set: not compressed, of no bytes. */
const noFields = [0, ...uint32(0)];
/** SETTINGS_INITIAL_WINDOW_SIZE: no byte of an answer may be sent. */
const noWindow = [0, 4, ...uint32(0)];

/** What comes once, and then over and over; `n` counts from 0. */
export interface Flood {
  readonly name: string;
  readonly first?: Buffer;
  readonly nth: (n: number) => Buffer;
  /** Default: what comes back is read. */
  readonly isUnread?: boolean;
}

/** Floods of an HTTP/2 port that serves streams in both directions. @param path of such a call */
export function http2Floods(path: string): readonly Flood[] {
  const head = callHead(path);
  const open = (n: number) => frame(headers, endHeaders, 2 * n + 1, head);
  return [
    { name: "calls that it resets", nth: (n) => Buffer.concat([open(n), frame(reset, 0, 2 * n + 1, uint32(8))]) },
    smallCalls(path),
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
    {
      name: "calls whose answers it does not take",
      first: frame(settings, 0, 0, noWindow),
      nth: (n) => Buffer.concat([open(n), frame(data, endStream, 2 * n + 1, noFields)]),
      isUnread: true,
    },
    { name: "priorities", nth: () => frame(priority, 0, 1, [...uint32(0), 16]) },
    growingHeads(head),
  ];
}

/** Calls of 15 bytes, whose heads refer to the fields of the first one, and the resets of them. */
function smallCalls(path: string): Flood {
  const remembered = (name: string, value: string) => [0x40, ...text(name), ...text(value)];
  const types = [...remembered("content-type", "application/grpc"), ...remembered("te", "trailers")];
  const whole = [...[0x83, 0x86, 0x44, ...text(path)], ...[0x41, ...text("localhost")], ...types];
  const small = [0x83, 0x86, ...[65, 64, 63, 62].map((index) => 0x80 | index)];
  const call = (n: number, head: readonly number[]) =>
    Buffer.concat([frame(headers, endHeaders, 2 * n + 1, head), frame(reset, 0, 2 * n + 1, uint32(8))]);
  return { name: "small calls that it resets", first: call(0, whole), nth: (n) => call(n + 1, small) };
}

/** What a ping is answered with, in which nothing else is like it. */
export const pingPayload = "a ping!!";

/** All that a connection sends that makes calls, resets each at once, and pings. */
export function resetCalls(path: string, contentType: string, count: number): Buffer {
  const head = callHead(path, contentType);
  const calls = Array.from({ length: count }, (_, n) => [
    frame(headers, endHeaders | endStream, 2 * n + 1, head),
    frame(reset, 0, 2 * n + 1, uint32(8)),
  ]);
  return Buffer.concat([
    preface,
    frame(settings, 0, 0, []),
    ...calls.flat(),
    frame(ping, 0, 0, Buffer.from(pingPayload)),
  ]);
}

/** All that a connection sends that makes one call, and lets its answer be of any size. */
export function callForMuch(path: string): Buffer {
  const anyWindow = [0, 4, ...uint32(0x7fff_ffff)];
  return Buffer.concat([
    preface,
    ...[frame(settings, 0, 0, anyWindow), frame(windowUpdate, 0, 0, uint32(0x7fff_0000))],
    frame(headers, endHeaders | endStream, 1, callHead(path)),
  ]);
}

/** Heads of 16 KB each, which name a field of 4 KB 16,000 times. */
function growingHeads(head: readonly number[]): Flood {
  const growing = Buffer.concat([Buffer.from(head), references]);
  return {
    name: "heads that become large",
    first: frame(headers, endHeaders, 1, [...head, ...largeField]),
    nth: (n) => frame(headers, endHeaders, 2 * n + 3, growing),
  };
}

export const plainTo = (port: number): Socket => connect(port, "127.0.0.1");
/** Of somebody who has no certificate. */
export const tlsTo = (port: number): Socket =>
  connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });

export interface CutOff {
  /** Sent until the connection was closed; `framesMax` when it was not. */
  readonly frameCount: number;
  readonly afterMs: number;
}

/** Sends one flood until the connection is closed. @param socket one that is being opened */
export async function floodUntilCutOff(socket: Socket, { first, nth, isUnread = false }: Flood): Promise<CutOff> {
  let isGivenUp = false;
  const startedAtMs = performance.now();
  const ended = (frameCount: number): CutOff => ({ frameCount, afterMs: performance.now() - startedAtMs });
  socket.on("error", () => {});
  if (!isUnread) socket.resume();
  const isClosed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const timer = setTimeout(() => {
    isGivenUp = true;
    socket.destroy();
  }, giveUpMs);
  socket.write(Buffer.concat([preface, frame(settings, 0, 0, []), first ?? Buffer.alloc(0)]));
  try {
    for (let sent = 0; sent < framesMax && !isGivenUp; sent += framesPerTurn) {
      if (socket.destroyed) return ended(sent);
      const some = Array.from({ length: framesPerTurn }, (_, i) => nth(sent + i));
      const isRead = socket.write(Buffer.concat(some));
      const drained = new Promise<void>(
        (resolve) => void (isRead ? setImmediate(resolve) : socket.once("drain", resolve)),
      );
      await Promise.race([drained, isClosed]);
    }
    return ended(framesMax);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
