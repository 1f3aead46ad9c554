import { Protocol, ProtocolSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { HashInput } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { Kind } from "./checked.ts";
import { enumSpelling } from "./enum-spelling.ts";

/** Whether the nodes act on a field, or the control plane only stores it. */
export type FieldUse =
  | { readonly use: "acted on"; readonly by: string }
  | { readonly use: "stored only"; readonly why: string }
  /** Some values are acted on; `warn` tells of the others, and is null for those that are. */
  | { readonly use: "depends on value"; readonly warn: (value: unknown) => string | null };

const actedOn = (by: string): FieldUse => ({ use: "acted on", by });
const storedOnly = (why: string): FieldUse => ({ use: "stored only", why });

const identity = actedOn("the control plane: says which resource it is, and is shown in logs and statuses");
const labels = actedOn("the control plane: filters lists");
const bookkeeping = actedOn("the control plane: set at each write");
const nodeSelector = actedOn("the control plane: which nodes get it, by their labels");
const etag = actedOn("the control plane: guards updates and deletes; never stored");

const hashing = actedOn("balancing: what consistent hashing hashes");
const failover = actedOn("balancing: when targets of a lower tier get requests");
const slowStart = actedOn("balancing: how an endpoint that is new, or back, takes up its share");
const zones = actedOn("balancing: whether targets in the node's own zone go first");
const inFlight = actedOn("balancing: how many requests are under way at once, and how many wait");
const stickyCookie = actedOn("balancing: the cookie of sticky sessions");
const activeChecks = actedOn("health: probes that the nodes send");
const passiveChecks = actedOn("health: what the nodes learn from traffic");
const retries = actedOn("forwarding: when a request is sent again");
const budgetOfUpstream = actedOn("the control plane: refused, since the budget is the upstream's");
const outliers = actedOn("health: when an endpoint that answers badly is taken out");
const stalls = actedOn("health: when an endpoint that does not answer is taken out");
const panic = actedOn("balancing: what is done with too few endpoints");
const probes = actedOn("health: what probes do beyond Kong's fields");
const noStreams = storedOnly("routing of TCP, TLS and UDP is not built yet");
const noBuffering = storedOnly("bodies are always streamed, never buffered");

const upstreamFields: Readonly<Record<string, FieldUse>> = {
  id: identity,
  name: actedOn("routing: a service whose host it is sends its requests to the upstream"),
  algorithm: actedOn("balancing: how an endpoint is picked"),
  hash_on: { use: "depends on value", warn: (value) => warnOfConsumer(value, "the fallback, else ") },
  hash_fallback: { use: "depends on value", warn: (value) => warnOfConsumer(value, "") },
  hash_on_header: hashing,
  hash_fallback_header: hashing,
  hash_on_cookie: hashing,
  hash_on_cookie_path: hashing,
  hash_on_query_arg: hashing,
  hash_fallback_query_arg: hashing,
  hash_on_uri_capture: hashing,
  hash_fallback_uri_capture: hashing,
  slots: actedOn("balancing: how finely consistent hashing can divide requests"),
  host_header: actedOn("forwarding: Host sent to the targets"),
  client_certificate: actedOn("forwarding: shown to targets that ask for one, where the service has none"),
  use_srv_name: actedOn("forwarding: Host is the SRV record's target"),
  "healthchecks.threshold": actedOn("balancing: when the whole upstream is unhealthy"),
  "healthchecks.active.type": activeChecks,
  "healthchecks.active.timeout": activeChecks,
  "healthchecks.active.concurrency": activeChecks,
  "healthchecks.active.http_path": activeChecks,
  "healthchecks.active.headers": activeChecks,
  "healthchecks.active.https_sni": activeChecks,
  "healthchecks.active.https_verify_certificate": activeChecks,
  "healthchecks.active.healthy.interval": activeChecks,
  "healthchecks.active.healthy.http_statuses": activeChecks,
  "healthchecks.active.healthy.successes": activeChecks,
  "healthchecks.active.unhealthy.interval": activeChecks,
  "healthchecks.active.unhealthy.http_statuses": activeChecks,
  "healthchecks.active.unhealthy.tcp_failures": activeChecks,
  "healthchecks.active.unhealthy.timeouts": activeChecks,
  "healthchecks.active.unhealthy.http_failures": activeChecks,
  "healthchecks.passive.type": passiveChecks,
  "healthchecks.passive.healthy.http_statuses": passiveChecks,
  "healthchecks.passive.healthy.successes": passiveChecks,
  "healthchecks.passive.unhealthy.http_statuses": passiveChecks,
  "healthchecks.passive.unhealthy.tcp_failures": passiveChecks,
  "healthchecks.passive.unhealthy.timeouts": passiveChecks,
  "healthchecks.passive.unhealthy.http_failures": passiveChecks,
  "resilience.retry.enabled": retries,
  "resilience.retry.statuses": retries,
  "resilience.retry.methods": retries,
  "resilience.retry.idempotency_key": retries,
  "resilience.retry.per_try_timeout": retries,
  "resilience.retry.budget_ratio": retries,
  "resilience.retry.budget_min_per_second": retries,
  "resilience.retry.body_max_bytes": retries,
  "resilience.outlier.enabled": outliers,
  "resilience.outlier.consecutive_resets": outliers,
  "resilience.outlier.consecutive_statuses": outliers,
  "resilience.outlier.base_ejection": outliers,
  "resilience.outlier.max_ejection": outliers,
  "resilience.outlier.max_ejected_percent": outliers,
  "resilience.stall.enabled": stalls,
  "resilience.stall.min_silence": stalls,
  "resilience.stall.factor": stalls,
  "resilience.panic.threshold": panic,
  "resilience.panic.mode": panic,
  "resilience.probe.port": probes,
  "resilience.probe.method": probes,
  "resilience.probe.body_contains": probes,
  "resilience.probe.status_ranges": probes,
  "resilience.probe.grpc_service": probes,
  "resilience.probe.initial": probes,
  "resilience.probe.jitter": probes,
  weight_basis: actedOn("balancing: whether a weight is of each address or of all of a target's"),
  sticky_sessions_cookie: stickyCookie,
  sticky_sessions_cookie_path: stickyCookie,
  "balancing.failover.overflow_threshold": failover,
  "balancing.failover.fail_back_delay": failover,
  "balancing.slow_start.window": slowStart,
  "balancing.slow_start.min_weight": slowStart,
  "balancing.slow_start.aggression": slowStart,
  "balancing.zones.prefer_local": zones,
  "balancing.zones.spill_threshold": zones,
  "balancing.in_flight.max": inFlight,
  "balancing.in_flight.max_per_endpoint": inFlight,
  "balancing.in_flight.queue_size": inFlight,
  "balancing.in_flight.queue_timeout": inFlight,
  "balancing.bounded_load": actedOn("balancing: how much more than its share consistent hashing gives an endpoint"),
  node_selector: nodeSelector,
  tags: labels,
  created_at: bookkeeping,
  updated_at: bookkeeping,
  etag,
};

const targetFields: Readonly<Record<string, FieldUse>> = {
  id: identity,
  target: actedOn("balancing: where requests go"),
  weight: actedOn("balancing: share of the requests"),
  upstream: actedOn("balancing: the upstream that the target belongs to"),
  failover: actedOn("balancing: a lower tier"),
  priority: actedOn("balancing: the target's tier"),
  zone: actedOn("balancing: which nodes it is near to"),
  max_in_flight: inFlight,
  tags: labels,
  created_at: bookkeeping,
  updated_at: bookkeeping,
  etag,
};

const serviceFields: Readonly<Record<string, FieldUse>> = {
  id: identity,
  name: identity,
  protocol: { use: "depends on value", warn: warnOfServiceProtocol },
  host: actedOn("balancing: the upstream, or the host, that requests go to"),
  port: actedOn("forwarding: port of a host that is no upstream"),
  path: actedOn("forwarding: put before the request's path"),
  retries: actedOn("forwarding: further attempts"),
  connect_timeout: actedOn("forwarding: patience with connecting"),
  write_timeout: actedOn("forwarding: patience between two writes"),
  read_timeout: actedOn("forwarding: patience between two reads"),
  enabled: actedOn("routing: a disabled service leaves it with its routes"),
  client_certificate: actedOn("forwarding: shown to targets that ask for one"),
  tls_verify: actedOn("forwarding: whether targets over TLS must prove who they are"),
  tls_verify_depth: actedOn("forwarding: longest chain of a target's certificate"),
  ca_certificates: actedOn("forwarding: the authorities that targets are trusted by"),
  node_selector: nodeSelector,
  tags: labels,
  created_at: bookkeeping,
  updated_at: bookkeeping,
  etag,
};

const routeFields: Readonly<Record<string, FieldUse>> = {
  id: identity,
  name: identity,
  protocols: { use: "depends on value", warn: warnOfRouteProtocols },
  methods: actedOn("routing"),
  hosts: actedOn("routing"),
  paths: actedOn("routing"),
  headers: actedOn("routing"),
  snis: actedOn("routing"),
  sources: noStreams,
  destinations: noStreams,
  regex_priority: actedOn("routing: rank among regular expressions that match"),
  strip_path: actedOn("forwarding: takes the matched prefix off the path"),
  path_handling: storedOnly("v1 is treated as v0"),
  preserve_host: actedOn("forwarding: Host sent to the targets"),
  https_redirect_status_code: actedOn("routing: the answer to plain HTTP where only HTTPS is served"),
  request_buffering: noBuffering,
  response_buffering: noBuffering,
  service: actedOn("routing: the service that requests go to"),
  node_selector: nodeSelector,
  tags: labels,
  created_at: bookkeeping,
  updated_at: bookkeeping,
  etag,
  "limits.request_body_max_bytes": actedOn("forwarding: a larger body is answered with 413"),
  "limits.total_timeout": actedOn("forwarding: patience with all attempts together"),
  "limits.allow_encoded_slashes": actedOn("routing: %2F in a path"),
  "retry.enabled": retries,
  "retry.statuses": retries,
  "retry.methods": retries,
  "retry.idempotency_key": retries,
  "retry.per_try_timeout": retries,
  "retry.budget_ratio": budgetOfUpstream,
  "retry.budget_min_per_second": budgetOfUpstream,
  "retry.body_max_bytes": retries,
};

const certificateFields: Readonly<Record<string, FieldUse>> = {
  id: identity,
  cert: actedOn("TLS: served under the certificate's server names, or shown to targets"),
  key: actedOn("TLS: proves that the certificate is ours"),
  cert_alt: actedOn("TLS: served to clients that do not know the other's type of key"),
  key_alt: actedOn("TLS: proves that cert_alt is ours"),
  snis: actedOn("the control plane: makes and deletes server names"),
  tags: labels,
  created_at: bookkeeping,
  updated_at: bookkeeping,
  etag,
  "client_authentication.mode": actedOn("TLS: whether clients may go without a certificate"),
  "client_authentication.ca_certificates": actedOn("TLS: the authorities that clients are trusted by"),
  "client_authentication.depth": actedOn("TLS: longest chain of a client's certificate"),
};

const sniFields: Readonly<Record<string, FieldUse>> = {
  id: identity,
  name: actedOn("TLS: the name that clients ask for"),
  certificate: actedOn("TLS: the certificate that they then get"),
  tags: labels,
  created_at: bookkeeping,
  updated_at: bookkeeping,
  etag,
};

const caCertificateFields: Readonly<Record<string, FieldUse>> = {
  id: identity,
  cert: actedOn("TLS: trusted where a service or a certificate names it"),
  cert_digest: actedOn("the control plane: keeps an authority from being there twice"),
  tags: labels,
  created_at: bookkeeping,
  updated_at: bookkeeping,
  etag,
};

/** What becomes of every leaf field, by kind and dotted path. A test holds it against the protos. */
export const fieldTable: { readonly [K in Kind]: Readonly<Record<string, FieldUse>> } = {
  upstream: upstreamFields,
  target: targetFields,
  service: serviceFields,
  route: routeFields,
  certificate: certificateFields,
  sni: sniFields,
  ca_certificate: caCertificateFields,
};

function warnOfConsumer(value: unknown, before: string): string | null {
  if (value !== HashInput.CONSUMER) return null;
  return `no client is authenticated as a consumer yet: ${before}the client's address is hashed`;
}

function warnOfServiceProtocol(value: unknown): string | null {
  if (value === Protocol.HTTP || value === Protocol.HTTPS) return null;
  const spelling = enumSpelling(ProtocolSchema, value as number);
  return `${spelling} is not built yet: requests are answered with 503 "protocol not supported yet"`;
}

function warnOfRouteProtocols(value: unknown): string | null {
  const protocols = value as readonly Protocol[];
  if (protocols.includes(Protocol.HTTP) || protocols.includes(Protocol.HTTPS)) return null;
  const spelled = protocols.map((protocol) => enumSpelling(ProtocolSchema, protocol)).join(", ");
  return `${spelled} is not built yet: the nodes serve HTTP and HTTPS only`;
}
