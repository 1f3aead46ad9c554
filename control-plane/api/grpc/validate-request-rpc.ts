import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Validator } from "@bufbuild/protovalidate";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { malformedDurations } from "./malformed-durations.ts";
import { toBadRequest } from "./to-connect-error.ts";

/** Package of the resources, whose fields admin/ checks: on an update they are a part of a resource only. */
const resourcePackage = "penstock.config.v1";

/**
 * Checks the constraints that the proto puts on a request's own fields (page_size, an empty key, a missing resource),
 * all at once. Durations of no form are refused wherever they are.
 */
export function validateRequests(): Interceptor {
  const validator = createValidator();
  return (next) => (request) => {
    if (!request.stream) {
      assertValid(validator, request.method.input, request.message);
      return next(request);
    }
    return next({ ...request, message: validated(validator, request.method.input, request.message) });
  };
}

async function* validated<M extends Message>(validator: Validator, schema: DescMessage, messages: AsyncIterable<M>) {
  for await (const message of messages) {
    assertValid(validator, schema, message);
    yield message;
  }
}

function assertValid(validator: Validator, schema: DescMessage, message: Message): void {
  const malformed = malformedDurations(schema, message);
  if (malformed.length > 0) throw toBadRequest(malformed);
  const result = validator.validate(schema, message);
  // An error is a rule that does not compile or cannot be evaluated: a bug, logged where all of them are.
  if (result.kind === "error")
    throw new ConnectError("internal error", Code.Internal, undefined, undefined, result.error);
  if (result.kind === "valid") return;
  const own = result.violations.filter(({ field }) => !isInsideResource(field));
  if (own.length === 0) return;
  throw toBadRequest(own.map(({ field, message }) => ({ field: pathToString(field), description: message })));
}

function isInsideResource(path: Parameters<typeof pathToString>[0]): boolean {
  const [first] = path;
  if (path.length < 2 || first?.kind !== "field") return false;
  return first.message?.file.proto.package === resourcePackage;
}
