import type { ProxyError } from "./proxy-error.ts";

/** What an answer of our own says beside the error. */
export interface ErrorFacts {
  readonly requestId: string;
  /** Value of the request's Accept field, "" without one. */
  readonly accept: string;
  /** Of its Content-Type field, which stands in for Accept as with Kong; "" without one. */
  readonly contentType: string;
  readonly version: string;
  /** Milliseconds since the request's head was complete. */
  readonly latencyMs: number;
  /** As an HTTP date. */
  readonly date: string;
  readonly closes: boolean;
  readonly isAnswerToHead: boolean;
  /** Header lines of this answer alone, each ending in CRLF. */
  readonly extraLines: string;
  /** For the details of Proxy-Status: "" or a token that says which rule was broken. */
  readonly detail: string;
}

const reasons: Readonly<Record<number, string>> = {
  301: "Moved Permanently",
  302: "Found",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  417: "Expectation Failed",
  421: "Misdirected Request",
  426: "Upgrade Required",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};

export type BodyType = "json" | "plain" | "html" | "xml";

const contentTypes: Readonly<Record<BodyType, string>> = {
  json: "application/json; charset=utf-8",
  plain: "text/plain; charset=utf-8",
  html: "text/html; charset=utf-8",
  xml: "application/xml; charset=utf-8",
};

/** The whole answer, head and body, in the shape that Kong's clients know. All of it is ASCII. */
export function errorResponse(error: ProxyError, status: number, facts: ErrorFacts): string {
  const accept = facts.accept || (error.isPlainByDefault ? facts.contentType : "");
  const type = bodyType(accept, error.isPlainByDefault);
  const body = errorBody(type, error.message, facts.requestId);
  const detail = facts.detail === "" ? "" : `; details="${facts.detail}"`;
  return (
    `HTTP/1.1 ${status} ${reasons[status] ?? "Error"}\r\n` +
    `Date: ${facts.date}\r\n` +
    `Content-Type: ${contentTypes[type]}\r\n` +
    `Content-Length: ${body.length}\r\n` +
    (facts.closes ? "Connection: close\r\n" : "") +
    facts.extraLines +
    `Server: penstock/${facts.version}\r\n` +
    `Proxy-Status: penstock; error=${error.type}${detail}\r\n` +
    `X-Kong-Response-Latency: ${facts.latencyMs}\r\n` +
    `X-Kong-Request-Id: ${facts.requestId}\r\n\r\n` +
    (facts.isAnswerToHead ? "" : body)
  );
}

/** The answer that lets a client with `Expect: 100-continue` send its body. */
export const continueResponse = "HTTP/1.1 100 Continue\r\n\r\n";

/** The body type that Accept prefers: highest q, first of equals; JSON for whatever has no body of ours. */
export function bodyType(accept: string, isPlainByDefault: boolean): BodyType {
  if (accept === "") return isPlainByDefault ? "plain" : "json";
  let best: BodyType = "json";
  let bestQuality = 0;
  for (const range of accept.split(",", 32)) {
    const [name = "", ...parameters] = range.split(";");
    const type = typeOf(name.trim().toLowerCase());
    const quality = qualityOf(parameters);
    if (type !== null && quality > bestQuality) {
      best = type;
      bestQuality = quality;
    }
  }
  return best;
}

function typeOf(mediaRange: string): BodyType | null {
  switch (mediaRange) {
    case "text/plain":
    case "text/*":
      return "plain";
    case "text/html":
    case "application/xhtml+xml":
      return "html";
    case "application/xml":
    case "text/xml":
      return "xml";
    case "application/json":
    case "application/*":
    case "*/*":
      return "json";
    default:
      return null;
  }
}

function qualityOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const match = /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i.exec(parameter);
    if (match !== null) return Number(match[1]);
  }
  return 1;
}

/** Messages are ours alone, so nothing in them needs escaping. */
function errorBody(type: BodyType, message: string, requestId: string): string {
  switch (type) {
    case "json":
      return `{\n  "message":"${message}",\n  "request_id":"${requestId}"\n}`;
    case "plain":
      return `${message}\nrequest_id: ${requestId}\n`;
    case "xml":
      return (
        `<?xml version="1.0" encoding="UTF-8"?>\n<error>\n` +
        `  <message>${message}</message>\n  <requestid>${requestId}</requestid>\n</error>\n`
      );
    default:
      return (
        `<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n  </head>\n` +
        `  <body>\n    <h1>Error</h1>\n    <p>${message}.</p>\n    <p>request_id: ${requestId}</p>\n  </body>\n</html>\n`
      );
  }
}
