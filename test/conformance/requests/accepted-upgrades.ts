import { accepted, get, post, type RequestFamily } from "../conformance-case.ts";

const line = "GET /x";
const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const websocket = { line, fields: key, ours: { Connection: "Upgrade", Upgrade: "websocket" } };

/** Only a websocket is passed on as an upgrade; the others are requests like any, and the target hears of none. */
export const acceptedUpgrades: RequestFamily = {
  name: "upgrades",
  source: "RFC 9110 section 7.8; RFC 9113 section 3.1; RFC 6455 section 4.1; h2c smuggling",
  cases: accepted([
    ["h2c", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), { line }],
    ["h2c that is not nominated", get("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), { line }],
    ["h2c in capitals", get("Connection: UPGRADE\r\nUpgrade: H2C\r\n"), { line }],
    ["a list with h2c", get("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), { line }],
    ["two Upgrade fields", get("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"), { line }],
    ["TLS within HTTP", get("Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n"), { line }],
    ["an unknown protocol", get("Connection: Upgrade\r\nUpgrade: x/1\r\n"), { line }],
    ["Connection: Upgrade alone", get("Connection: Upgrade\r\n"), { line }],
    ["an empty Upgrade", get("Connection: Upgrade\r\nUpgrade:\r\n"), { line }],
    ["a websocket that is not nominated", get(`Upgrade: websocket\r\n${key}`), { line, fields: key }],
    [
      "a websocket on POST with a body",
      post(`Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n`, "hi"),
      { line: "POST /x", fields: "Content-Length: 2\r\n", body: "hi" },
    ],
    [
      "a websocket on HTTP/1.0",
      `GET /x HTTP/1.0\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n`,
      { line, fields: key, ours: { Via: "1.0 penstock" } },
    ],
    ["a websocket that the target declines", get(`Connection: Upgrade\r\nUpgrade: websocket\r\n${key}`), websocket],
    ["a websocket in other case", get(`connection: keep-alive, UPGRADE\r\nupgrade: WebSocket\r\n${key}`), websocket],
  ]),
};
