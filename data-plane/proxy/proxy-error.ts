/** Why the proxy answers by itself: a stable name for logs, counters and the Proxy-Status header. */
export type ProxyErrorName =
  | "no_configuration"
  | "no_route"
  | "no_service"
  | "protocol_not_supported"
  | "https_required"
  | "no_peer"
  | "all_unavailable"
  | "name_resolution_failed"
  | "connection_refused"
  | "destination_unroutable"
  | "connection_timeout"
  | "no_local_socket"
  | "tls_certificate"
  | "tls_protocol"
  | "tls_alert"
  | "connection_terminated"
  | "response_timeout"
  | "bad_response"
  | "bad_request"
  | "tls_on_plain_port"
  | "plain_on_tls_port"
  | "client_certificate_required"
  | "client_certificate_invalid"
  | "misdirected"
  | "method_not_allowed"
  | "request_timeout"
  | "uri_too_long"
  | "misdirected"
  | "body_too_large"
  | "total_timeout"
  | "overloaded"
  | "at_limit"
  | "queue_timeout"
  | "head_too_large"
  | "expectation_failed"
  | "not_implemented"
  | "version_not_supported"
  | "internal_error";

/** The registered error types of RFC 9209 section 2.3 that are of use here: Proxy-Status may say nothing else. */
type ProxyStatusError =
  | "dns_error"
  | "destination_not_found"
  | "destination_unavailable"
  | "destination_ip_unroutable"
  | "connection_refused"
  | "connection_terminated"
  | "connection_timeout"
  | "connection_limit_reached"
  | "tls_certificate_error"
  | "tls_protocol_error"
  | "tls_alert_received"
  | "http_request_error"
  | "http_request_denied"
  | "http_response_timeout"
  | "http_protocol_error"
  | "proxy_configuration_error"
  | "proxy_internal_error";

export interface ProxyError {
  readonly name: ProxyErrorName;
  readonly type: ProxyStatusError;
  readonly status: number;
  readonly message: string;
  /** Whether another attempt may succeed, if the request can be sent again at all. */
  readonly isRetryable: boolean;
  /** Whether the endpoint is to blame, so that its health should know. */
  readonly countsAgainstTarget: boolean;
  /** Answered as text to a client that sends no Accept, as Kong does for what its web server answers. */
  readonly isPlainByDefault: boolean;
}

type Row = readonly [type: ProxyStatusError, status: number, message: string, traits?: string];

const invalidResponse = "An invalid response was received from the upstream server";
const timingOut = "The upstream server is timing out";

/** Traits: r = retryable, t = counts against the target, p = plain text by default. */
const rows: Readonly<Record<ProxyErrorName, Row>> = {
  no_configuration: ["proxy_configuration_error", 503, "no configuration has reached this node yet"],
  no_route: ["destination_not_found", 404, "no Route matched with those values"],
  no_service: ["destination_not_found", 503, "no Service found with those values"],
  protocol_not_supported: ["proxy_configuration_error", 503, "protocol not supported yet"],
  https_required: ["http_request_denied", 426, "Please use HTTPS protocol"],
  no_peer: ["destination_unavailable", 503, "failure to get a peer from the ring-balancer"],
  all_unavailable: ["destination_unavailable", 503, "The upstream server is currently unavailable", "r"],
  name_resolution_failed: ["dns_error", 503, "name resolution failed"],
  connection_refused: ["connection_refused", 502, invalidResponse, "rtp"],
  destination_unroutable: ["destination_ip_unroutable", 502, invalidResponse, "rtp"],
  connection_timeout: ["connection_timeout", 504, timingOut, "rtp"],
  no_local_socket: ["connection_limit_reached", 503, "this node has no socket left for the upstream server"],
  tls_certificate: ["tls_certificate_error", 502, invalidResponse, "rtp"],
  tls_protocol: ["tls_protocol_error", 502, invalidResponse, "rtp"],
  tls_alert: ["tls_alert_received", 502, invalidResponse, "rtp"],
  connection_terminated: ["connection_terminated", 502, invalidResponse, "rtp"],
  response_timeout: ["http_response_timeout", 504, timingOut, "rtp"],
  bad_response: ["http_protocol_error", 502, invalidResponse, "tp"],
  bad_request: ["http_request_error", 400, "Bad request", "p"],
  tls_on_plain_port: ["http_request_error", 400, "TLS on a plain HTTP port", "p"],
  plain_on_tls_port: ["http_request_error", 400, "plain HTTP on a TLS port", "p"],
  client_certificate_required: ["http_request_denied", 400, "client certificate required", "p"],
  client_certificate_invalid: ["http_request_denied", 400, "client certificate invalid", "p"],
  method_not_allowed: ["http_request_error", 405, "Method not allowed", "p"],
  request_timeout: ["http_request_error", 408, "Request timed out", "p"],
  body_too_large: ["http_request_denied", 413, "Request body too large", "p"],
  total_timeout: ["http_response_timeout", 504, timingOut],
  overloaded: ["http_request_denied", 503, "this node has too much to do"],
  at_limit: ["connection_limit_reached", 503, "too many requests are under way to the upstream server"],
  queue_timeout: ["connection_limit_reached", 503, "too many requests have been under way to the upstream server"],
  misdirected: ["http_request_error", 421, "Misdirected request", "p"],
  uri_too_long: ["http_request_error", 414, "URI too long", "p"],
  head_too_large: ["http_request_error", 431, "Request header or cookie too large", "p"],
  expectation_failed: ["http_request_error", 417, "Expectation failed", "p"],
  not_implemented: ["http_request_error", 501, "Not implemented", "p"],
  version_not_supported: ["http_request_error", 505, "HTTP version not supported", "p"],
  internal_error: ["proxy_internal_error", 500, "An unexpected error occurred", "p"],
};

const table = new Map<ProxyErrorName, ProxyError>();
for (const [name, [type, status, message, traits = ""]] of Object.entries(rows) as [ProxyErrorName, Row][]) {
  table.set(name, {
    name,
    type,
    status,
    message,
    isRetryable: traits.includes("r"),
    countsAgainstTarget: traits.includes("t"),
    isPlainByDefault: traits.includes("p"),
  });
}

export function proxyError(name: ProxyErrorName): ProxyError {
  return table.get(name)!;
}

const byStatus: Readonly<Record<number, ProxyErrorName>> = {
  400: "bad_request",
  405: "method_not_allowed",
  414: "uri_too_long",
  417: "expectation_failed",
  421: "misdirected",
  431: "head_too_large",
  501: "not_implemented",
  505: "version_not_supported",
};

/** The error for a request head or body that was refused with this status. */
export function requestError(status: number): ProxyError {
  return proxyError(byStatus[status] ?? "bad_request");
}
