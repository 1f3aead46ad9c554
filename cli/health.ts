import { toJson } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { HealthAPI, type UpstreamHealth, UpstreamHealthSchema } from "../proto/gen/penstock/admin/v1/health_pb.ts";
import { UpstreamsAPI } from "../proto/gen/penstock/admin/v1/upstreams_pb.ts";
import { failureText } from "./failure-text.ts";
import { type HealthOptions, parseHealthOptions } from "./health-options.ts";
import { healthTable, isUnhealthy } from "./health-table.ts";
import { jsonText, linesText } from "./printable.ts";
import { refuse } from "./refuse.ts";
import { untilStopped } from "./until-stopped.ts";

/**
 * `penstock health`: what the nodes see of the targets, as a table or as JSON.
 * Exit codes: 0 healthy, 1 something is unhealthy, 2 for what the user can put right.
 */
export async function health(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const parsed = parseHealthOptions(argv, env);
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse("health", parsed.lines);
  const { options } = parsed;
  const transport = createConnectTransport({ baseUrl: options.adminUrl, httpVersion: "1.1" });
  try {
    const client = createClient(HealthAPI, transport);
    if (options.isWatching) return await watch(client, options);
    const names =
      options.upstream === null ? await allUpstreams(createClient(UpstreamsAPI, transport)) : [options.upstream];
    const upstreams = await readHealth(client, names, options.upstream !== null);
    if (options.isJson) print(jsonText(upstreams.map(jsonOf), 2));
    else print(upstreams.length === 0 ? "There are no upstreams.\n" : healthTable(upstreams));
    process.exitCode = upstreams.some(isUnhealthy) ? 1 : 0;
  } catch (error) {
    refuse("health", [failureText(error, options.adminUrl, options.upstream)]);
  }
}

/** Ids of all upstreams, in the order of their names. */
async function allUpstreams(client: Client<typeof UpstreamsAPI>): Promise<readonly string[]> {
  const found: { readonly id: string; readonly name: string }[] = [];
  let pageToken = "";
  do {
    const page = await client.listUpstreams({ pageSize: 1_000, pageToken });
    found.push(...page.upstreams);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(({ id }) => id);
}

/** @param mustExist false where one may have been deleted since it was listed */
async function readHealth(
  client: Client<typeof HealthAPI>,
  names: readonly string[],
  mustExist: boolean,
): Promise<readonly UpstreamHealth[]> {
  const upstreams: UpstreamHealth[] = [];
  for (const upstream of names) {
    try {
      const { health: read } = await client.getUpstreamHealth({ upstream });
      if (read !== undefined) upstreams.push(read);
    } catch (error) {
      const isGone = error instanceof ConnectError && error.code === Code.NotFound && !mustExist;
      if (!isGone) throw error;
    }
  }
  return upstreams;
}

/** Prints what there is and then each change, until it is stopped. */
async function watch(client: Client<typeof HealthAPI>, { upstream, isJson }: HealthOptions): Promise<void> {
  const signal = untilStopped();
  try {
    const seen = client.watchUpstreamHealth({ upstream: upstream ?? "" }, { signal });
    for await (const { health: told, deleted } of seen) {
      if (told === undefined) continue;
      if (isJson) print(jsonText({ deleted, ...jsonOf(told) }));
      else print(deleted ? linesText([`${told.upstreamName} was deleted.`, ""]) : `${healthTable([told])}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function jsonOf(upstream: UpstreamHealth) {
  return toJson(UpstreamHealthSchema, upstream, { alwaysEmitImplicit: true }) as Record<string, unknown>;
}

function print(text: string): void {
  process.stdout.write(text);
}
