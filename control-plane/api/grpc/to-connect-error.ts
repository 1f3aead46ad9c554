import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
} from "../../../proto/gen/google/rpc/error_details_pb.ts";
import type { Kind, Problem, ProblemCode } from "../../resource/checked.ts";
import { shortenText } from "./shorten-text.ts";

/** What the problems are about: the kind, and the key that the client used for it. */
export interface Subject {
  readonly kind: Kind;
  readonly key?: string;
}

type Detail = ConstructorParameters<typeof ConnectError>[3] extends (infer D)[] | undefined ? D : never;

/** Domain of every ErrorInfo that we send. */
const errorDomain = "penstock";

// gRPC sends all of an error in the trailers, its message twice, and clients take 8 KiB of them: of a larger error
// they would tell their user nothing but that limit.

/** The message; characters other than ASCII take thrice that, percent-encoded. */
const messageMaxBytes = 600;
/** One field, description or name. */
const textMaxBytes = 240;
/** All field violations; those beyond it are counted. */
const violationsMaxBytes = 1800;
/** Resources that are told of; each is named in a violation, too. */
const resourcesMaxCount = 2;

const codeOf: Record<ProblemCode, Code> = {
  invalid: Code.InvalidArgument,
  // What a write says is wrong here, not the state that it meets: the client must change the reference.
  dangling_reference: Code.InvalidArgument,
  unresolved_reference: Code.InvalidArgument,
  invalid_page_token: Code.InvalidArgument,
  not_found: Code.NotFound,
  duplicate_id: Code.AlreadyExists,
  duplicate_key: Code.AlreadyExists,
  still_referenced: Code.FailedPrecondition,
  stale_etag: Code.Aborted,
  unavailable: Code.Unavailable,
};

const typeNameOf: Record<Kind, string> = {
  upstream: "penstock.config.v1.Upstream",
  target: "penstock.config.v1.Target",
  service: "penstock.config.v1.Service",
  route: "penstock.config.v1.Route",
  certificate: "penstock.config.v1.Certificate",
  sni: "penstock.config.v1.Sni",
  ca_certificate: "penstock.config.v1.CaCertificate",
};

/**
 * Says in gRPC's words what is wrong: status code, and google.rpc details with every field violation.
 * ErrorInfo.reason is the problem's code in upper case, and stable.
 */
export function toConnectError(problems: readonly Problem[], subject: Subject): ConnectError {
  // A field violation leads, since its details list is what the client must repair first.
  const leading = problems.find(isFieldViolation) ?? problems[0];
  if (leading === undefined) throw new TypeError("an error needs a problem");
  const details: Detail[] = [
    {
      desc: ErrorInfoSchema,
      value: { reason: leading.code.toUpperCase(), domain: errorDomain, metadata: { field: shorten(leading.field) } },
    },
  ];
  const fieldViolations = problems.filter(isFieldViolation).map((problem) => ({
    field: requestPath(subject.kind, problem),
    description: problem.message,
  }));
  if (fieldViolations.length > 0)
    details.push({ desc: BadRequestSchema, value: { fieldViolations: fitting(fieldViolations) } });
  const violations = problems
    .filter((problem) => problem.code === "still_referenced")
    .map((problem) => ({
      type: "STILL_REFERENCED",
      subject: resourceName(problem, subject),
      description: problem.message,
    }));
  if (violations.length > 0) details.push({ desc: PreconditionFailureSchema, value: { violations } });
  for (const problem of problems.filter(isAboutAnotherResource).slice(0, resourcesMaxCount))
    details.push(resourceDetail(problem, subject));
  return new ConnectError(shortenText(messageOf(problems), messageMaxBytes), codeOf[leading.code], undefined, details);
}

/** The error of a request whose own fields, outside of any resource, are not acceptable. */
export function toBadRequest(violations: readonly FieldViolation[]): ConnectError {
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return new ConnectError(shortenText(message, messageMaxBytes), Code.InvalidArgument, undefined, [
    { desc: ErrorInfoSchema, value: { reason: "INVALID", domain: errorDomain } },
    { desc: BadRequestSchema, value: { fieldViolations: fitting(violations) } },
  ]);
}

/** An error that is about no field. @param reason stable, of ErrorInfo once it is in upper case */
export function toPlainError(code: Code, reason: string, message: string): ConnectError {
  return new ConnectError(shortenText(message, messageMaxBytes), code, undefined, [
    { desc: ErrorInfoSchema, value: { reason: reason.toUpperCase(), domain: errorDomain } },
  ]);
}

interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** As many of the violations as there is room for, and how many more there are. */
function fitting(violations: readonly FieldViolation[]): FieldViolation[] {
  const told: FieldViolation[] = [];
  let bytes = 0;
  for (const { field, description } of violations) {
    const violation = { field: shorten(field), description: shorten(description) };
    // Each takes six bytes beside its texts.
    bytes += Buffer.byteLength(violation.field) + Buffer.byteLength(violation.description) + 6;
    if (bytes > violationsMaxBytes) {
      told.push({ field: "", description: `and ${violations.length - told.length} more` });
      break;
    }
    told.push(violation);
  }
  return told;
}

function shorten(text: string): string {
  return shortenText(text, textMaxBytes);
}

function isFieldViolation(problem: Problem): boolean {
  return codeOf[problem.code] === Code.InvalidArgument;
}

function isAboutAnotherResource(problem: Problem): boolean {
  return (
    problem.code === "not_found" ||
    problem.code === "duplicate_id" ||
    problem.code === "duplicate_key" ||
    (isFieldViolation(problem) && problem.resource !== undefined)
  );
}

/** Path of the field at fault from the request on. Some lie beside the resource, not in it. */
function requestPath(kind: Kind, { code, field }: Problem): string {
  if (code === "invalid_page_token") return "page_token";
  if (field === "update_mask") return field;
  return field === "" ? kind : `${kind}.${field}`;
}

function resourceDetail(problem: Problem, subject: Subject): Detail {
  return {
    desc: ResourceInfoSchema,
    value: {
      resourceType: typeNameOf[problem.resource?.kind ?? subject.kind],
      resourceName: shorten(problem.resource?.id ?? subject.key ?? ""),
      description: shorten(problem.message),
    },
  };
}

function resourceName(problem: Problem, subject: Subject): string {
  const kind = problem.resource?.kind ?? subject.kind;
  return shorten(`${typeNameOf[kind]}/${problem.resource?.id ?? subject.key ?? ""}`);
}

function messageOf(problems: readonly Problem[]): string {
  return problems.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`)).join("; ");
}
