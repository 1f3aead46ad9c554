import { toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { DiagnosticsAPI, ExplainResponseSchema } from "../proto/gen/penstock/admin/v1/explain_pb.ts";
import { parseExplainOptions } from "./explain-options.ts";
import { explainReport, isProxied } from "./explain-report.ts";
import { jsonText } from "./printable.ts";
import { refuse } from "./refuse.ts";

/**
 * `penstock explain`: what a running node would do with a request.
 * Exit codes: 0 a target would be asked, 1 the node would answer by itself, or have it wait, 2 for what the user can put right.
 */
export async function explain(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const parsed = parseExplainOptions(argv, env);
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse("explain", parsed.lines);
  const { request, adminUrl, isJson } = parsed.options;
  const transport = createConnectTransport({ baseUrl: adminUrl, httpVersion: "1.1" });
  try {
    const asked = { ...request, headers: [...request.headers] };
    const response = await createClient(DiagnosticsAPI, transport).explain(asked);
    const json = () => toJson(ExplainResponseSchema, response, { alwaysEmitImplicit: true, useProtoFieldName: true });
    process.stdout.write(isJson ? jsonText(json(), 2) : explainReport(response));
    process.exitCode = isProxied(response) ? 0 : 1;
  } catch (error) {
    const failure = ConnectError.from(error);
    const text = failure.rawMessage || failure.message;
    const isAboutRequest = failure.code === Code.InvalidArgument || failure.code === Code.NotFound;
    refuse("explain", isAboutRequest ? text.split("; ") : [`${adminUrl}: ${text}`]);
  }
}
