import type { IncomingMessage } from "node:http";
import { headerValues } from "../answer.ts";
import { isJsonObject } from "./decode-value.ts";
import { isDeeperThan } from "./json-depth.ts";
import { parseForm } from "./parse-form.ts";
import { type Answer, messageAnswer, type RestBody } from "./rest-answer.ts";

export interface BodyLimits {
  /** Largest body that is taken. */
  readonly bodyMaxBytes: number;
  /** How much of a body that is too large is read and dropped before its connection is given up. */
  readonly discardMaxBytes: number;
  /** Deepest nesting of arrays and objects. */
  readonly jsonMaxDepth: number;
}

export const defaultBodyLimits: BodyLimits = {
  bodyMaxBytes: 10 * 1024 * 1024,
  discardMaxBytes: 100 * 1024 * 1024,
  jsonMaxDepth: 64,
};

export type BodyOutcome =
  | { readonly ok: true; readonly body: RestBody }
  | { readonly ok: false; readonly answer: Answer }
  /** The client left before its body ended: nobody is there to be answered. */
  | { readonly ok: false; readonly answer: null };

/** Reads a request's body and parses it by its content type, or says what is wrong with it. */
export async function readBody(request: IncomingMessage, limits: BodyLimits): Promise<BodyOutcome> {
  const received = await receive(request, limits);
  if (received.type === "gone") return { ok: false, answer: null };
  if (received.type === "too_large")
    return refuse(413, `Request body is larger than ${limits.bodyMaxBytes} bytes`, received.headers);
  // A body that nobody sent needs no content type.
  if (received.bytes.byteLength === 0) return { ok: true, body: { type: "none" } };
  const contentTypes = headerValues(request, "content-type");
  if (contentTypes.length > 1) return refuse(400, "More than one Content-Type header");
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    return refuse(415, `Content-Encoding '${encoding}' is not supported`);
  return parseBody(received.bytes, contentTypes[0], limits);
}

function parseBody(bytes: Buffer, contentType: string | undefined, limits: BodyLimits): BodyOutcome {
  switch (contentType?.replace(/;.*/s, "").trim().toLowerCase()) {
    case "application/json":
      return parseJson(bytes, limits);
    case "application/x-www-form-urlencoded":
      return parseFormBytes(bytes);
    case undefined:
      return refuse(415, "Content-Type is missing");
    default:
      return refuse(415, "Content-Type must be application/json or application/x-www-form-urlencoded");
  }
}

function parseJson(bytes: Buffer, limits: BodyLimits): BodyOutcome {
  if (isDeeperThan(bytes, limits.jsonMaxDepth))
    return refuse(400, `JSON body nests deeper than ${limits.jsonMaxDepth}`);
  let json: unknown;
  try {
    json = JSON.parse(decodeUtf8(bytes));
  } catch {
    return refuse(400, "Cannot parse JSON body");
  }
  if (!isJsonObject(json)) return refuse(400, "JSON body must be an object");
  return { ok: true, body: { type: "json", json } };
}

function parseFormBytes(bytes: Buffer): BodyOutcome {
  let text: string;
  try {
    text = decodeUtf8(bytes);
  } catch {
    return refuse(400, "Cannot parse form body: not valid UTF-8");
  }
  const form = parseForm(text);
  return form.ok ? { ok: true, body: { type: "form", form: form.root } } : refuse(400, form.message);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Throws on what is not UTF-8: a replacement character would be stored as if the client had sent it. */
function decodeUtf8(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

function refuse(status: number, message: string, headers?: Answer["headers"]): BodyOutcome {
  return { ok: false, answer: messageAnswer(status, message, headers) };
}

type Received =
  | { readonly type: "bytes"; readonly bytes: Buffer }
  | { readonly type: "too_large"; readonly headers: Answer["headers"] }
  | { readonly type: "gone" };

/**
 * Collects the body. What is too large is read on and dropped, since a client that still sends would see a reset
 * connection in place of the answer; only past `discardMaxBytes` is the answer given at once and the connection closed.
 */
function receive(request: IncomingMessage, limits: BodyLimits): Promise<Received> {
  return new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let receivedBytes = 0;
    request.on("data", (chunk: Buffer) => {
      receivedBytes += chunk.byteLength;
      if (receivedBytes <= limits.bodyMaxBytes) chunks.push(chunk);
      else chunks = [];
      if (receivedBytes > limits.discardMaxBytes) resolve({ type: "too_large", headers: { Connection: "close" } });
    });
    request.on("end", () => {
      if (receivedBytes > limits.bodyMaxBytes) resolve({ type: "too_large", headers: {} });
      else resolve({ type: "bytes", bytes: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks) });
    });
    request.on("error", () => resolve({ type: "gone" }));
    // Also after "end", where the promise is settled already.
    request.on("close", () => resolve({ type: "gone" }));
  });
}
