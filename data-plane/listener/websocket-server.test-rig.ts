import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { type Backend, openRawBackend } from "./proxy-server.test-rig.ts";

/** The answer that accepts a websocket request (RFC 6455 section 4.2.2). */
export function acceptText(requestHead: string): string {
  const key = /^Sec-WebSocket-Key: (\S+)\r$/im.exec(requestHead)?.[1] ?? "";
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
  );
}

/** One unmasked frame that ends its message. */
function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

/** The first masked frame in `bytes`, and how long it is; null when it is not whole. */
function takeFrame(bytes: Buffer): { opcode: number; payload: Buffer; length: number } | null {
  if (bytes.length < 6) return null;
  const short = bytes[1]! & 0x7f;
  const maskAt = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < maskAt) return null;
  const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const length = maskAt + 4 + size;
  if (bytes.length < length) return null;
  const payload = Buffer.from(bytes.subarray(maskAt + 4, length));
  for (let i = 0; i < size; i++) payload[i]! ^= bytes[maskAt + (i % 4)]!;
  return { opcode: bytes[0]! & 0x0f, payload, length };
}

/** A websocket server that sends back every message, by the RFC as far as a well-behaved client can tell. */
export async function openWebsocketEcho(): Promise<Backend> {
  return await openRawBackend((socket: Socket, _number, backend) => {
    let text = "";
    let isAccepted = false;
    let bytes = Buffer.alloc(0);
    socket.on("data", (piece) => {
      if (!isAccepted) {
        text += piece.toString("latin1");
        if (!text.includes("\r\n\r\n")) return;
        isAccepted = true;
        backend.requests.push({ head: text, body: "" });
        socket.write(acceptText(text));
        return;
      }
      bytes = Buffer.concat([bytes, piece]);
      for (let next = takeFrame(bytes); next !== null; next = takeFrame(bytes)) {
        bytes = bytes.subarray(next.length);
        socket.write(frame(next.opcode, next.payload));
        if (next.opcode === 8) socket.end();
      }
    });
  });
}
