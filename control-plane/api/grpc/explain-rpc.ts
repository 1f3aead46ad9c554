import { Code, type ServiceImpl } from "@connectrpc/connect";
import type { DiagnosticsAPI } from "../../../proto/gen/penstock/admin/v1/explain_pb.ts";
import { explainRequest } from "../../admin/explain-request.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { toBadRequest, toPlainError } from "./to-connect-error.ts";

const codeOf = {
  unknown_node: Code.NotFound,
  no_node: Code.FailedPrecondition,
  no_answer: Code.Unavailable,
} as const;

/** gRPC face of what a node would do. Errors: explain.proto. */
export function explainRpc(fleet: Fleet): ServiceImpl<typeof DiagnosticsAPI> {
  return {
    async explain(request) {
      const explained = await explainRequest(fleet, request);
      if (explained.ok) return explained.response;
      if (explained.fault === "invalid")
        throw toBadRequest(explained.problems.map(({ field, message }) => ({ field, description: message })));
      throw toPlainError(codeOf[explained.fault], explained.fault, explained.message);
    },
  };
}
