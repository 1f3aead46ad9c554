/** Why TLS handshakes with clients fail: the values of a metric's label, so there are few. */
export const handshakeFailures = [
  "alert",
  "alpn",
  "certificate",
  "closed",
  "limit",
  "malformed",
  "no_shared_parameters",
  "not_tls",
  "other",
  "server_name",
  "timeout",
  "too_large",
] as const;
export type HandshakeFailure = (typeof handshakeFailures)[number];

/** The kind of what node:tls says of a handshake that failed. */
export function handshakeFailure({ code = "" }: NodeJS.ErrnoException): HandshakeFailure {
  if (code === "ECONNRESET" || code === "EPIPE") return "closed";
  if (/APPLICATION_PROTOCOL/.test(code)) return "alpn";
  // What the client says: it does not trust our certificate, mostly.
  if (/ALERT/.test(code)) return "alert";
  if (/NO_SHARED|NO_SUITABLE|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|WRONG_VERSION|NO_PROTOCOLS/.test(code)) {
    return "no_shared_parameters";
  }
  return "other";
}
