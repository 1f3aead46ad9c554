import { caCertificateRules } from "./ca-certificate.ts";
import { certificateRules } from "./certificate.ts";
import type { Kind } from "./checked.ts";
import type { ResourceRules } from "./resource-rules.ts";
import { routeRules } from "./route.ts";
import { serviceRules } from "./service.ts";
import { sniRules } from "./sni.ts";
import { targetRules } from "./target.ts";
import { upstreamRules } from "./upstream.ts";

/** The rules of each kind. */
export const rulesOfKind: { readonly [K in Kind]: ResourceRules<K> } = {
  upstream: upstreamRules,
  target: targetRules,
  service: serviceRules,
  route: routeRules,
  certificate: certificateRules,
  sni: sniRules,
  ca_certificate: caCertificateRules,
};
