import type { IncomingMessage, ServerResponse } from "node:http";
import type { ShownSecrets } from "../secret-access.ts";
import type { FormNode } from "./parse-form.ts";
import type { JsonObject } from "./print-resource.ts";

/** What a request gets. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Printed as JSON; no body when absent. */
  readonly body?: unknown;
}

/** A routed request whose body, where its method has one, is read and parsed. */
export interface RestRequest {
  /** Without query and trailing slash, as sent. */
  readonly path: string;
  /** Values of the path's parameters, percent-decoded. */
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: URLSearchParams;
  readonly body: RestBody;
  readonly secrets: ShownSecrets;
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

/** Writes an answer unless the client has left, which is no error. */
export function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  latencyMs: number,
): void {
  if (response.destroyed || response.writableEnded || response.headersSent) return;
  response.statusCode = answer.status;
  response.setHeader("X-Kong-Admin-Latency", Math.max(0, Math.round(latencyMs)));
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value);
  if (answer.body === undefined) {
    response.end();
    return;
  }
  const bytes = Buffer.from(JSON.stringify(answer.body));
  response.setHeader("Content-Type", "application/json; charset=utf-8");
  response.setHeader("Content-Length", bytes.byteLength);
  response.end(request.method === "HEAD" ? undefined : bytes);
}
