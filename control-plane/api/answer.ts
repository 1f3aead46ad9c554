import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

/** A request and its response over either version of HTTP: node:http2 keeps the shape of node:http. */
export type AnyRequest = IncomingMessage | Http2ServerRequest;
export type AnyResponse = ServerResponse | Http2ServerResponse;

/** Answers with JSON. Does nothing where an answer has begun. */
export function answer(
  response: AnyResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  // The two differ in overloads that are not used here.
  const plain = response as ServerResponse;
  plain.writeHead(status, { ...headers, "content-type": "application/json; charset=utf-8" });
  plain.end(JSON.stringify(body));
}

/** Tells a gRPC client UNIMPLEMENTED: a response of trailers only. */
export function answerGrpcUnimplemented(response: AnyResponse): void {
  const trailersOnly = { "content-type": "application/grpc", "grpc-status": "12", "grpc-message": "unknown method" };
  const plain = response as ServerResponse;
  // Not writeHead: over HTTP/2 the frame of the headers would then not be the last, which a client takes for garbage.
  for (const [name, value] of Object.entries(trailersOnly)) plain.setHeader(name, value);
  plain.end();
}

/** Whether a request speaks gRPC proper: gRPC-Web clients read HTTP statuses. */
export function isGrpc(request: AnyRequest): boolean {
  return /^application\/grpc(?:\+|;|$)/i.test(request.headers["content-type"] ?? "");
}

/**
 * Every value that a header has in a request. Of `headersDistinct`, which says the same, all headers would be made.
 * @param name lower-case
 */
export function headerValues({ rawHeaders }: Pick<AnyRequest, "rawHeaders">, name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]!.length === name.length && rawHeaders[i]!.toLowerCase() === name) values.push(rawHeaders[i + 1]!);
  return values;
}

/** The path of a request target, without its query. */
export function pathOf(url: string | undefined): string {
  return url?.split("?", 1)[0] ?? "";
}
