import { create } from "@bufbuild/protobuf";
import { type Target, TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import type { Problem } from "./checked.ts";
import { formatHostAddress, type HostAddress, readHostAddress } from "./host-address.ts";
import { isOwnAddress, type OwnAddress, ownAddressMessage } from "./own-address.ts";
import { checkTexts, invalid } from "./problems.ts";
import { distinct, type ResourceRules, type UniqueKey } from "./resource-rules.ts";
import { checkTag } from "./text-rules.ts";

/** Kong's port for a target that names none. */
const defaultPort = 8000;

/** The address of a target as it is stored: `host:port`, IPv6 in full and in brackets; null when it is none. */
export function normalizeTarget(target: string): string | null {
  const read = readHostAddress(target);
  return typeof read === "string" ? null : formatHostAddress(read, defaultPort);
}

function checkAddress(target: string, own: readonly OwnAddress[]): readonly Problem[] {
  const read = readHostAddress(target);
  if (typeof read === "string") return [invalid("target", "Invalid target; not a valid hostname or ip address")];
  const isOwn = isOwnAddress(read, read.port ?? defaultPort, own);
  return [...checkServiceName(read), ...(isOwn ? [invalid("target", ownAddressMessage)] : [])];
}

/** Where a name says that it is one of a service, it has to say which: `_http._tcp.example.test`. */
function checkServiceName({ type, host }: HostAddress): readonly Problem[] {
  if (type !== "name" || !host.startsWith("_")) return [];
  // RFC 2782: _Service._Proto.Name.
  if (/^_[^._][^.]*\._[^._][^.]*\.[^.]/.test(host)) return [];
  return [invalid("target", `invalid SRV name: '${host}' (expected _service._protocol.name)`)];
}

/** `failover` asks for a lower tier than the first, and `priority` may say which. */
function checkTier({ failover, priority }: Target): readonly Problem[] {
  if (failover !== true || priority !== 0) return [];
  return [invalid("failover", "must not be true with priority 0"), invalid("priority", "must not be 0 with failover")];
}

/** The unique key of a target: its address, as stored, within its upstream. */
export function targetKey(upstreamId: string, address: string): string {
  return `address:${upstreamId}:${address}`;
}

function uniqueKeys(target: Target): readonly UniqueKey[] {
  const upstreamId = target.upstream?.id ?? "";
  return [
    {
      key: targetKey(upstreamId, target.target),
      field: "target",
      duplicateMessage: `UNIQUE violation detected on '{target="${target.target}",upstream={id="${upstreamId}"}}'`,
    },
  ];
}

/** Rules of targets. */
export const targetRules: ResourceRules<"target"> = {
  kind: "target",
  collection: "targets",
  schema: TargetSchema,
  defaults: create(TargetSchema, { weight: 100 }),
  required: ["target", "upstream"],
  references: [{ path: "upstream", toKind: "upstream", toCollection: "upstreams" }],
  secrets: [],
  withImplied: (draft) => draft,
  normalize: (target) => ({
    ...target,
    target: normalizeTarget(target.target) ?? target.target,
    tags: distinct(target.tags),
  }),
  check: (target, { ownAddresses = [] }) => [
    ...checkAddress(target.target, ownAddresses),
    ...checkTier(target),
    ...checkTexts("tags", target.tags, checkTag),
  ],
  uniqueKeys,
};
