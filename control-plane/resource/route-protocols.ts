import type { Route } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { Protocol, ProtocolSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { Problem } from "./checked.ts";
import { enumSpelling } from "./enum-spelling.ts";
import { invalid } from "./problems.ts";

/** Protocols that one route may have together. */
const groups: readonly (readonly Protocol[])[] = [
  [Protocol.HTTP, Protocol.HTTPS],
  [Protocol.TCP, Protocol.TLS, Protocol.UDP],
  [Protocol.TLS_PASSTHROUGH],
  [Protocol.GRPC, Protocol.GRPCS],
];

/** Attributes by which requests are matched. */
type Attribute = "methods" | "hosts" | "headers" | "paths" | "snis" | "sources" | "destinations";

const attributesOfHttp: readonly Attribute[] = ["methods", "hosts", "headers", "paths"];
const attributesOfGrpc: readonly Attribute[] = ["hosts", "headers", "paths"];
const attributesOfStreams: readonly Attribute[] = ["sources", "destinations", "snis"];
const overTls: readonly Protocol[] = [Protocol.HTTPS, Protocol.GRPCS, Protocol.TLS, Protocol.TLS_PASSTHROUGH];

const ofHttp = "'http' or 'https'";
const ofGrpc = "'grpc' or 'grpcs'";
const ofStreams = "'tcp', 'tls', 'tls_passthrough' or 'udp'";

/** Which attributes a route may have, and which it needs, by its protocols. */
export function checkRouteProtocols(route: Route): readonly Problem[] {
  const { protocols } = route;
  const first = protocols[0];
  const used = groups.filter((group) => group.some((protocol) => protocols.includes(protocol)));
  // No protocol, or none that there is: told by the field's own rules.
  if (first === undefined || used.length === 0) return [];
  if (used.length > 1)
    return [invalid("protocols", `these sets are mutually exclusive: ${used.map(spellGroup).join(", ")}`)];

  const isSet = (attribute: Attribute): boolean => Object.keys(route[attribute]).length > 0;
  const problems: Problem[] = [];
  if (isSet("snis") && !protocols.some((protocol) => overTls.includes(protocol)))
    problems.push(
      invalid("", "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"),
      invalid("snis", "length must be 0"),
    );
  const refuse = (attributes: readonly Attribute[], ofProtocols: string) => {
    for (const attribute of attributes.filter(isSet))
      problems.push(invalid(attribute, `cannot set '${attribute}' when 'protocols' is ${ofProtocols}`));
  };
  if (first === Protocol.HTTP || first === Protocol.HTTPS) refuse(["sources", "destinations"], ofHttp);
  else if (first === Protocol.GRPC || first === Protocol.GRPCS) {
    refuse(["methods", "sources", "destinations"], ofGrpc);
    if (route.stripPath === true)
      problems.push(invalid("strip_path", `cannot set 'strip_path' when 'protocols' is ${ofGrpc}`));
  } else refuse(attributesOfHttp, ofStreams);

  const needed = neededAttributes(protocols);
  if (needed !== null && !needed.attributes.some(isSet)) problems.push(invalid("", needed.message));
  return problems;
}

/** Of which attributes a route needs one, and what to say when it has none. */
function neededAttributes(
  protocols: readonly Protocol[],
): { readonly attributes: readonly Attribute[]; readonly message: string } | null {
  const oneOf = (attributes: readonly Attribute[], ofProtocols: string) => ({
    attributes,
    message: `must set one of ${quoted(attributes)} when 'protocols' is ${ofProtocols}`,
  });
  if (protocols.includes(Protocol.HTTPS)) return oneOf([...attributesOfHttp, "snis"], "'https'");
  if (protocols.includes(Protocol.HTTP)) return oneOf(attributesOfHttp, "'http'");
  if (protocols.includes(Protocol.GRPCS)) return oneOf([...attributesOfGrpc, "snis"], "'grpcs'");
  if (protocols.includes(Protocol.GRPC)) return oneOf(attributesOfGrpc, "'grpc'");
  if (protocols.includes(Protocol.TLS_PASSTHROUGH))
    return { attributes: ["snis"], message: "must set snis when 'protocols' is 'tls_passthrough'" };
  const isStream = [Protocol.TCP, Protocol.TLS, Protocol.UDP].some((protocol) => protocols.includes(protocol));
  return isStream ? oneOf(attributesOfStreams, "'tcp', 'tls' or 'udp'") : null;
}

const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(", ");

const spellGroup = (group: readonly Protocol[]): string =>
  `(${quoted(group.map((protocol) => enumSpelling(ProtocolSchema, protocol) ?? ""))})`;
