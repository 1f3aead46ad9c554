import { isIP } from "node:net";
import { create, fromJson, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import {
  type ExplainRequest,
  ExplainRequestSchema,
  type ExplainResponse,
  ExplainResponseSchema,
} from "../../proto/gen/penstock/admin/v1/explain_pb.ts";
import type { Problem } from "../resource/checked.ts";
import { invalid } from "../resource/problems.ts";
import type { Fleet, NodeStatus } from "../sync/fleet.ts";

/** What a node would do, or why nobody says it. */
export type Explained =
  | { readonly ok: true; readonly response: ExplainResponse }
  /** Each field that is not acceptable, as explain.proto names them. */
  | { readonly ok: false; readonly fault: "invalid"; readonly problems: readonly Problem[] }
  /** `no_node`: none that could be asked. `no_answer`: it was asked, and has not answered. */
  | { readonly ok: false; readonly fault: "unknown_node" | "no_node" | "no_answer"; readonly message: string };

type Fault = Extract<Explained, { readonly ok: false }>;

const capability = "query.explain";
/** A node takes some seconds where it has a hundred thousand routes. */
const timeoutMs = 10_000;

const headersMaxCount = 200;
const textMaxLength = 32_768;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const serverName = /^[A-Za-z0-9._-]{1,255}$/;

/** A request that is asked about; what is left out has explain.proto's defaults. */
export type AskedRequest = MessageInitShape<typeof ExplainRequestSchema>;

/** Everything that is wrong with a question itself, without asking anybody. */
export function checkExplainRequest(asked: AskedRequest): readonly Problem[] {
  return checkRequest(withDefaults(create(ExplainRequestSchema, asked)));
}

/** Asks one node what would become of a request. */
export async function explainRequest(fleet: Fleet, asked: AskedRequest): Promise<Explained> {
  const request = withDefaults(create(ExplainRequestSchema, asked));
  const problems = checkRequest(request);
  if (problems.length > 0) return { ok: false, fault: "invalid", problems };
  const chosen = chooseNode(fleet.nodes(), request.node);
  if ("fault" in chosen) return chosen;
  const { id, hostname } = chosen.node;
  const question = toJson(ExplainRequestSchema, { ...request, node: "" }, { alwaysEmitImplicit: true });
  const body = Buffer.from(JSON.stringify(question));
  const [answer] = await fleet.ask({ kind: "explain", body, revision: 0, timeoutMs, nodeId: id });
  const failed = (why: string): Fault => ({
    ok: false,
    fault: "no_answer",
    message: `node ${id} (${hostname}): ${why}`,
  });
  if (answer === undefined) return failed("its stream has ended");
  if (!answer.answered.ok) return failed(answer.answered.problem);
  const response = readAnswer(answer.answered.body);
  if (response === null) return failed("its answer is none");
  return { ok: true, response: { ...response, node: create(ExplainResponseSchema, { node: { id, hostname } }).node! } };
}

function withDefaults(given: ExplainRequest): ExplainRequest {
  const scheme = given.scheme || "http";
  const host = given.host || "localhost";
  return {
    ...given,
    scheme,
    host,
    method: given.method || "GET",
    path: given.path || "/",
    clientAddress: plainAddress(given.clientAddress || "127.0.0.1"),
    sni: scheme === "https" ? serverNameOf(given.sni || host) : given.sni,
  };
}

/** As nodes see IPv4 within IPv6. */
function plainAddress(text: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(text)?.[1];
  return mapped !== undefined && isIP(mapped) === 4 ? mapped : text.toLowerCase();
}

/** What clients send for a host: its name without port and trailing dot; nothing for an address. */
function serverNameOf(host: string): string {
  if (host.startsWith("[")) return "";
  const name = host
    .replace(/:[0-9]*$/, "")
    .replace(/\.$/, "")
    .toLowerCase();
  return isIP(name) === 0 ? name : "";
}

/** What cannot be sent as a request at all. What can be and is refused, a node explains. */
function checkRequest(request: ExplainRequest): readonly Problem[] {
  const { scheme, method, host, path, headers, clientAddress, sni, node } = request;
  const problems: Problem[] = [];
  const check = (field: string, isFine: boolean, message: string) => {
    if (!isFine) problems.push(invalid(field, message));
  };
  check("scheme", scheme === "http" || scheme === "https", "expected one of: http, https");
  check("method", token.test(method) && method.length <= 100, "must be a token such as GET");
  check("host", /^[!-~ ]{1,1024}$/.test(host), "must be printable ASCII");
  check("path", path.startsWith("/"), 'must begin with "/"');
  if (path.startsWith("/"))
    check("path", /^[!"$-~]+$/.test(path) && path.length <= textMaxLength, 'must be visible ASCII without "#"');
  check("client_address", isIP(clientAddress) !== 0 && !clientAddress.includes("%"), "must be an IP address");
  if (scheme !== "http") check("sni", sni === "" || serverName.test(sni), "must be a host name");
  else check("sni", sni === "", "is for https only");
  check("node", node.length <= 255 && node.isWellFormed(), "must be an id or a hostname");
  check("headers", headers.length <= headersMaxCount, `length must be at most ${headersMaxCount}`);
  for (const [i, header] of headers.slice(0, headersMaxCount).entries()) {
    const isHost = header.name.toLowerCase() === "host";
    check(
      `headers.${i}.name`,
      token.test(header.name) && header.name.length <= 1_024,
      "must be a token such as X-User",
    );
    check(`headers.${i}.name`, !isHost, "host has a field of its own");
    check(`headers.${i}.value`, isFieldValue(header.value), "must not have control characters");
  }
  return problems;
}

function isFieldValue(value: string): boolean {
  return value.length <= textMaxLength && value.isWellFormed() && /^[\t\x20-\x7e\u0080-\u{10ffff}]*$/u.test(value);
}

/** @param wanted id or hostname; "" for any */
function chooseNode(nodes: readonly NodeStatus[], wanted: string): { readonly node: NodeStatus } | Fault {
  const noNode = (message: string): Fault => ({ ok: false, fault: "no_node", message });
  const connected = nodes.filter(({ isConnected }) => isConnected);
  if (wanted === "") {
    if (connected.length === 0) return noNode("no node is connected: there is nobody to ask");
    const able = connected.filter(({ capabilities }) => capabilities.includes(capability));
    if (able.length === 0) return noNode("no connected node has a version that can explain requests");
    const serving = able.filter(({ publication }) => publication > 0).toSorted((a, b) => a.lag - b.lag);
    return serving[0] === undefined ? noNode("no connected node serves a configuration yet") : { node: serving[0] };
  }
  const namesakes = connected.filter(({ hostname }) => hostname === wanted);
  const node = nodes.find(({ id }) => id === wanted) ?? namesakes[0];
  const problem = invalid("node", `${namesakes.length} connected nodes have this hostname: say an id`);
  if (node === undefined) return { ok: false, fault: "unknown_node", message: `there is no node "${wanted}"` };
  if (node.id !== wanted && namesakes.length > 1) return { ok: false, fault: "invalid", problems: [problem] };
  if (!node.isConnected) return noNode(`node ${node.id} (${node.hostname}) is not connected`);
  if (!node.capabilities.includes(capability))
    return noNode(`node ${node.id} (${node.hostname}) has version ${node.build}, which cannot explain requests`);
  if (node.publication === 0) return noNode(`node ${node.id} (${node.hostname}) serves no configuration yet`);
  return { node };
}

/** Null for what is no answer. */
function readAnswer(body: Uint8Array): ExplainResponse | null {
  try {
    const json = JSON.parse(Buffer.from(body).toString()) as JsonValue;
    return fromJson(ExplainResponseSchema, json, { ignoreUnknownFields: true });
  } catch {
    return null;
  }
}
