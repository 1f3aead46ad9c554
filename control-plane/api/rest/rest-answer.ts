import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ShownSecrets } from "../secret-access.ts";
import type { FormNode } from "./parse-form.ts";
import type { JsonObject } from "./print-resource.ts";

/** What a request gets. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Printed as JSON; no body when absent. */
  readonly body?: unknown;
  /** A body that is no JSON, in the place of `body`. */
  readonly bytes?: { readonly type: string; readonly parts: readonly Uint8Array[] };
}

/** A routed request whose body, where its method has one, is read and parsed. */
export interface RestRequest {
  /** Without query and trailing slash, as sent. */
  readonly path: string;
  /** Values of the path's parameters, percent-decoded. */
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: URLSearchParams;
  readonly body: RestBody;
  /** Asked by reads only: to find out where a caller is costs 5 us. */
  readonly secrets: () => ShownSecrets;
  /** The client has left before it was answered: nothing needs to be waited for any more. */
  readonly signal: AbortSignal;
}

/** A body that was read but not yet given types: those depend on the kind of resource. */
export type RestBody =
  | { readonly type: "none" }
  | { readonly type: "json"; readonly json: JsonObject }
  | { readonly type: "form"; readonly form: FormNode };

export type Endpoint = (request: RestRequest) => Answer | Promise<Answer>;

/** The short error form, for what is not about fields. */
export function messageAnswer(status: number, message: string, headers: Answer["headers"] = {}): Answer {
  return { status, headers, body: { message } };
}

export const notFoundAnswer: Answer = messageAnswer(404, "Not found");

/** What every answer says beside its own headers. */
export interface AnsweredBy {
  /** Name and version of the server. */
  readonly server: string;
  readonly latencyMs: number;
}

/** Writes an answer unless the client has left, which is no error. */
export function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  { server, latencyMs }: AnsweredBy,
): void {
  if (response.destroyed || response.writableEnded || response.headersSent) return;
  const { type, parts, byteLength } = answer.bytes === undefined ? jsonText(answer.body) : sized(answer.bytes);
  // All headers at once: to set one after the other costs three times as much.
  response.writeHead(answer.status, {
    Server: server,
    "X-Kong-Admin-Latency": Math.max(0, Math.round(latencyMs)),
    ...(answer.headers as OutgoingHttpHeaders | undefined),
    ...(parts.length === 0 ? {} : { "Content-Type": type }),
    // RFC 9110 section 8.6: not with 204.
    ...(answer.status === 204 ? {} : { "Content-Length": byteLength }),
  });
  if (parts.length === 0 || request.method === "HEAD") {
    response.end();
    return;
  }
  // All of it is in memory already. The last part goes with the end, so that an answer of one part is one write.
  for (const part of parts.slice(0, -1)) response.write(part);
  response.end(parts.at(-1));
}

interface SizedBody {
  readonly type: string;
  readonly parts: readonly (string | Uint8Array)[];
  readonly byteLength: number;
}

/** As text, which node:http puts behind the head in one piece. */
function jsonText(body: unknown): SizedBody {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return {
    type: "application/json; charset=utf-8",
    parts: text === undefined ? [] : [text],
    byteLength: text === undefined ? 0 : Buffer.byteLength(text),
  };
}

function sized({ type, parts }: NonNullable<Answer["bytes"]>): SizedBody {
  return { type, parts, byteLength: parts.reduce((sum, { byteLength }) => sum + byteLength, 0) };
}
