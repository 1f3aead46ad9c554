import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIP } from "node:net";
import type { Timers } from "../timers.ts";
import { type DnsQuestion, type DnsReply, encodeQuestion, rcodes, readReply } from "./dns-message.ts";

export interface DnsServer {
  /** IP literal. */
  readonly host: string;
  readonly port: number;
}

export interface AskOptions {
  readonly timers: Timers;
  /** For the reply over UDP, and once more for the one over TCP. */
  readonly timeoutMs: number;
  /** Called before each message to a server. */
  readonly onSend?: (transport: "udp" | "tcp") => void;
}

/**
 * Asks one server once: over UDP, then over TCP when the reply was too long for a datagram. Each question goes from a port of
 * its own with an id that cannot be guessed, and only what the server itself says to this very question is heard.
 * Errors: rejects with the reason when no reply comes.
 */
export async function askServer(server: DnsServer, question: DnsQuestion, options: AskOptions): Promise<DnsReply> {
  const reply = await askOverUdp(server, question, options, true);
  const isBewildered = reply.rcode === rcodes.formatError || reply.rcode === rcodes.notImplemented;
  // Servers that know no EDNS say so in one of these ways (RFC 6891 section 7).
  const understood = isBewildered ? await askOverUdp(server, question, options, false) : reply;
  return understood.isTruncated ? askOverTcp(server, question, options) : understood;
}

function askOverUdp(
  server: DnsServer,
  question: DnsQuestion,
  { timers, timeoutMs, onSend }: AskOptions,
  usesEdns: boolean,
): Promise<DnsReply> {
  const id = randomInt(65_536);
  const socket = createSocket(isIP(server.host) === 6 ? "udp6" : "udp4");
  socket.unref();
  return new Promise<DnsReply>((resolve, reject) => {
    const cancel = timers.after(timeoutMs, () => finish(() => reject(new Error("timeout"))));
    const finish = (settle: () => void) => {
      cancel();
      socket.removeAllListeners();
      // A late error of a socket that is being closed has nobody to tell.
      socket.on("error", () => {});
      socket.close();
      settle();
    };
    socket.on("error", (error: NodeJS.ErrnoException) => finish(() => reject(new Error(error.code ?? error.message))));
    socket.on("message", (bytes) => {
      const reply = readReply(bytes, id, question);
      if (reply !== null) finish(() => resolve(reply));
    });
    // Connected: the kernel passes on nothing that others send, and tells when nobody listens.
    socket.on("connect", () => {
      onSend?.("udp");
      socket.send(encodeQuestion(id, question, usesEdns));
    });
    socket.connect(server.port, server.host);
  });
}

function askOverTcp(
  server: DnsServer,
  question: DnsQuestion,
  { timers, timeoutMs, onSend }: AskOptions,
): Promise<DnsReply> {
  const id = randomInt(65_536);
  return new Promise<DnsReply>((resolve, reject) => {
    const socket = connect({ host: server.host, port: server.port });
    socket.unref();
    const fail = (reason: string) => finish(() => reject(new Error(`${reason} over TCP`)));
    const cancel = timers.after(timeoutMs, () => fail("timeout"));
    const finish = (settle: () => void) => {
      cancel();
      socket.destroy();
      settle();
    };
    let received: Buffer = Buffer.alloc(0);
    socket.on("connect", () => {
      onSend?.("tcp");
      const message = encodeQuestion(id, question, true);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      socket.write(Buffer.concat([length, message]));
    });
    socket.on("data", (bytes) => {
      // At most 64 KiB: what comes after the length's worth is not looked at.
      received = Buffer.concat([received, bytes]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const reply = readReply(received.subarray(2, 2 + received.readUInt16BE(0)), id, question);
      if (reply === null) fail("no reply to the question");
      else finish(() => resolve(reply));
    });
    socket.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.on("close", () => fail("closed"));
  });
}
