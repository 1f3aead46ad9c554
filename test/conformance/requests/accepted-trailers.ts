import { accepted, post, type RequestFamily } from "../conformance-case.ts";

const coded = "Transfer-Encoding: chunked\r\n";

/** A chunked request with these trailers sent, and those that arrive. */
function trailers(name: string, sent: string, arrives: string, lines = "") {
  const body = (kept: string): string => `2\r\nhi\r\n0\r\n${kept}\r\n`;
  return [name, post(coded + lines, body(sent)), { line: "POST /x", fields: coded, body: body(arrives) }] as const;
}

export const acceptedTrailers: RequestFamily = {
  name: "trailers",
  source: "RFC 9110 section 6.5.1; RFC 9112 section 7.1.2",
  cases: accepted([
    trailers("fields that mean nothing to the engine", "X: y\r\nDigest: z\r\n", "X: y\r\nDigest: z\r\n"),
    [
      ...trailers("framing stays here", "Content-Length: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n", "X: y\r\n"),
      "it says nothing any more after the body, and no reader behind us sees it",
    ],
    trailers("so do its underscore aliases", "Content_Length: 5\r\ntransfer_encoding: chunked\r\n", ""),
    trailers("Host and who asks stay here", "Host: evil.test\r\nAuthorization: x\r\nCookie: a=b\r\n", ""),
    trailers("where it came from stays here", "X-Forwarded-For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\n", ""),
    trailers("what the head nominated stays here", "X-Own: 1\r\nY: 2\r\n", "Y: 2\r\n", "Connection: x-own\r\n"),
  ]),
};
