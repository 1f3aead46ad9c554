import type { CaCertificate, Certificate, Sni, TicketKey } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import type { HealthOverride } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import type { JoinToken, NodeAuthority, NodeIdentity } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import type { Quarantine } from "../../proto/gen/penstock/config/v1/quarantine_pb.ts";
import type { Rollout, RolloutOrder, RolloutPolicy } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { Route } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import type { Service } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { Target } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import type { Upstream } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { Problem } from "./checked.ts";

/** The message of each kind. */
export interface ResourceOf {
  upstream: Upstream;
  target: Target;
  service: Service;
  route: Route;
  certificate: Certificate;
  sni: Sni;
  ca_certificate: CaCertificate;
}

/** The message of each kind that is stored. */
export interface MessageOf extends ResourceOf {
  ticket_key: TicketKey;
  health_override: HealthOverride;
  quarantine: Quarantine;
  node_authority: NodeAuthority;
  join_token: JoinToken;
  node_identity: NodeIdentity;
  rollout: Rollout;
  rollout_policy: RolloutPolicy;
  rollout_order: RolloutOrder;
}

/**
 * What a client asks to write: some fields of a resource.
 * `paths` names, dotted and in proto spelling, every leaf that the client set ("healthchecks.active.healthy.successes");
 * lists, maps and references are leaves. A path whose field is absent in `message` is an explicit null.
 * Paths that are not named keep their stored value (update) or get their default (create, replace).
 */
export interface Draft<T> {
  readonly message: T;
  readonly paths: readonly string[];
  /** What the face already found wrong, such as a text for a number; told with all other problems, and not written. */
  readonly problems?: readonly Problem[];
}
