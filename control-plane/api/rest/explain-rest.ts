import { toJson } from "@bufbuild/protobuf";
import {
  type ExplainRequest,
  type ExplainResponse,
  ExplainResponseSchema,
  type HeaderField,
} from "../../../proto/gen/penstock/admin/v1/explain_pb.ts";
import { checkExplainRequest, explainRequest } from "../../admin/explain-request.ts";
import { toldCount } from "../../observation/told-values.ts";
import type { Problem } from "../../resource/checked.ts";
import { firstPerField, invalid } from "../../resource/problems.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { isJsonObject } from "./decode-value.ts";
import type { JsonObject } from "./print-resource.ts";
import { type Answer, type Endpoint, messageAnswer, type RestRequest } from "./rest-answer.ts";
import type { RestRoute } from "./rest-routes.ts";

type HeaderText = Pick<HeaderField, "name" | "value">;
type Asked = Partial<Omit<ExplainRequest, "$typeName" | "$unknown" | "headers">> & { headers?: HeaderText[] };

/** A question as it was asked, and what of it is none. */
interface Read {
  readonly asked: Asked;
  readonly problems: readonly Problem[];
}

/** Fields of explain.proto that are texts, and what they are called in the message. */
const textFields = {
  scheme: "scheme",
  method: "method",
  host: "host",
  path: "path",
  client_address: "clientAddress",
  sni: "sni",
  node: "node",
} as const;

const statusOf = { unknown_node: 404, no_node: 503, no_answer: 503 } as const;

/** `/explain`, which Kong has not: what a node would do with a request, asked in JSON or, with GET, in the query. */
export function explainRoute(fleet: Fleet): RestRoute {
  const endpoint: Endpoint = async (request): Promise<Answer> => {
    if (request.body.type === "form") return messageAnswer(400, "a request is asked about in JSON, or with GET");
    const { asked, problems } = request.body.type === "json" ? readJson(request.body.json) : readQuery(request);
    // What is no text is told together with what is wrong with the texts.
    if (problems.length > 0) return violationAnswer([...problems, ...checkExplainRequest(asked)]);
    const explained = await explainRequest(fleet, asked);
    if (explained.ok) return { status: 200, body: printResponse(explained.response) };
    if (explained.fault === "invalid") return violationAnswer(explained.problems);
    return messageAnswer(statusOf[explained.fault], explained.message);
  };
  return { GET: endpoint, POST: endpoint };
}

/** `?method=GET&host=a.test&path=/a&header=X-User: 1`, header as often as there are. */
function readQuery({ query }: RestRequest): Read {
  const asked: Asked = {};
  const problems: Problem[] = [];
  const headers: HeaderText[] = [];
  for (const [name, value] of query) {
    if (isTextField(name)) {
      if (query.getAll(name).length > 1) problems.push(invalid(name, "is given more than once"));
      asked[textFields[name]] = value;
    } else if (name !== "header") problems.push(invalid(name, "unknown field"));
    else {
      const colon = value.indexOf(":");
      if (colon < 0) problems.push(invalid("header", 'expected "name: value"'));
      else headers.push({ name: value.slice(0, colon), value: value.slice(colon + 1).trim() });
    }
  }
  return { asked: { ...asked, headers }, problems: firstPerField(problems) };
}

function readJson(json: JsonObject): Read {
  const asked: Asked = {};
  const problems: Problem[] = [];
  let headers: readonly HeaderText[] = [];
  for (const [name, value] of Object.entries(json)) {
    if (name === "headers") headers = readHeaders(value, problems);
    else if (!isTextField(name)) problems.push(invalid(name, "unknown field"));
    else if (typeof value === "string") asked[textFields[name]] = value;
    else if (value !== null) problems.push(invalid(name, "expected a string"));
  }
  return { asked: { ...asked, headers: [...headers] }, problems };
}

/** `{"x-user": "1", "x-many": ["1", "2"]}`. */
function readHeaders(value: unknown, problems: Problem[]): readonly HeaderText[] {
  if (value === null) return [];
  if (!isJsonObject(value)) {
    problems.push(invalid("headers", "expected a map"));
    return [];
  }
  const headers: HeaderText[] = [];
  for (const [name, values] of Object.entries(value)) {
    for (const one of Array.isArray(values) ? values : [values]) {
      if (typeof one === "string") headers.push({ name, value: one });
      else problems.push(invalid(`headers.${name}`, "expected a string, or an array of them"));
    }
  }
  return headers;
}

function isTextField(name: string): name is keyof typeof textFields {
  return Object.hasOwn(textFields, name);
}

/** In the form of Kong's violations. */
function violationAnswer(problems: readonly Problem[]): Answer {
  const told = firstPerField(problems);
  const texts = told.map(({ field, message }) => `${field}: ${message}`).sort();
  const count = told.length === 1 ? "schema violation" : `${told.length} schema violations`;
  const fields = Object.fromEntries(told.map(({ field, message }) => [field, message]));
  return {
    status: 400,
    body: { code: 2, name: "schema violation", message: `${count} (${texts.join("; ")})`, fields },
  };
}

/** What a request did not come to. */
const absent = { request: null, route: null, service: null, pool: null, retry: null, rewritten: null };

/** A number is a kind of a later version, or nonsense of a node's. */
function kindText(kind: string | number = "KIND_UNSPECIFIED"): string {
  return String(kind).replace("KIND_", "").toLowerCase();
}

/** By explain.proto's names, every field given, whole numbers as such. */
function printResponse(response: ExplainResponse): JsonObject {
  const printed = toJson(ExplainResponseSchema, response, { alwaysEmitImplicit: true, useProtoFieldName: true });
  const { outcome, ...rest } = printed as {
    readonly [name: string]: unknown;
    readonly outcome?: { readonly kind: string | number };
  };
  return {
    ...absent,
    ...rest,
    publication: toldCount(response.publication),
    revision: toldCount(response.revision),
    outcome: { ...outcome, kind: kindText(outcome?.kind) },
  };
}
