import { expect } from "vitest";
import { type RestReply, rigTimeMs } from "./rest-rig.ts";

// What Kong 3.10 prints of a resource of which only the required fields were set.

export const uuid = expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
const seconds = Math.floor(rigTimeMs / 1000);
const stamps = { created_at: seconds, updated_at: seconds };

export const serviceDefaults = {
  id: uuid,
  ...stamps,
  name: null,
  protocol: "http",
  port: 80,
  path: null,
  retries: 5,
  connect_timeout: 60_000,
  write_timeout: 60_000,
  read_timeout: 60_000,
  enabled: true,
  client_certificate: null,
  tls_verify: null,
  tls_verify_depth: null,
  ca_certificates: null,
  node_selector: null,
  tags: null,
};

export const routeDefaults = {
  id: uuid,
  ...stamps,
  name: null,
  protocols: ["http", "https"],
  methods: null,
  hosts: null,
  paths: null,
  headers: null,
  snis: null,
  sources: null,
  destinations: null,
  regex_priority: 0,
  strip_path: true,
  path_handling: "v0",
  preserve_host: false,
  https_redirect_status_code: 426,
  limits: null,
  retry: null,
  node_selector: null,
  request_buffering: true,
  response_buffering: true,
  service: null,
  tags: null,
};

export const activeDefaults = {
  type: "http",
  timeout: 1,
  concurrency: 10,
  http_path: "/",
  headers: null,
  https_sni: null,
  https_verify_certificate: true,
  healthy: { interval: 0, http_statuses: [200, 302], successes: 0 },
  unhealthy: {
    interval: 0,
    http_statuses: [429, 404, 500, 501, 502, 503, 504, 505],
    tcp_failures: 0,
    timeouts: 0,
    http_failures: 0,
  },
};

export const upstreamDefaults = {
  id: uuid,
  ...stamps,
  resilience: null,
  weight_basis: null,
  balancing: null,
  node_selector: null,
  sticky_sessions_cookie: null,
  sticky_sessions_cookie_path: null,
  algorithm: "round-robin",
  hash_on: "none",
  hash_fallback: "none",
  hash_on_header: null,
  hash_fallback_header: null,
  hash_on_cookie: null,
  hash_on_cookie_path: "/",
  hash_on_query_arg: null,
  hash_fallback_query_arg: null,
  hash_on_uri_capture: null,
  hash_fallback_uri_capture: null,
  slots: 10_000,
  host_header: null,
  client_certificate: null,
  use_srv_name: false,
  tags: null,
  healthchecks: {
    threshold: 0,
    active: activeDefaults,
    passive: {
      type: "http",
      healthy: {
        http_statuses: [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308],
        successes: 0,
      },
      unhealthy: { http_statuses: [429, 500, 503], tcp_failures: 0, timeouts: 0, http_failures: 0 },
    },
  },
};

/** Both at once, so that a failure shows what the answer says. */
export function expectReply(reply: RestReply, status: number, json: unknown): void {
  expect({ status: reply.status, json: reply.json }).toEqual({ status, json });
}
