import { toJson } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { TrafficAPI, type UpstreamTraffic, UpstreamTrafficSchema } from "../proto/gen/penstock/admin/v1/traffic_pb.ts";
import { failureText } from "./failure-text.ts";
import { showLivePage } from "./live-screen.ts";
import { jsonText, linesText } from "./printable.ts";
import { refuse } from "./refuse.ts";
import { parseTopOptions, type TopOptions } from "./top-options.ts";
import { topTable } from "./top-table.ts";
import { untilStopped } from "./until-stopped.ts";
import { type WatchedAgain, watchAgain } from "./watch-again.ts";

/**
 * `penstock top`: what requests meet at the endpoints, over all nodes, as a page that is drawn again, as tables or as JSON.
 * Exit codes: 0 when shown or stopped, 2 for what the user can put right. A control plane that goes away while it is watched
 * is waited for.
 */
export async function top(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const parsed = parseTopOptions(argv, env);
  if (parsed.type === "help") {
    print(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse("top", parsed.lines);
  const { options } = parsed;
  const transport = createConnectTransport({ baseUrl: options.adminUrl, httpVersion: "1.1" });
  const client = createClient(TrafficAPI, transport);
  const signal = untilStopped();
  const isScreen = process.stdout.isTTY === true && env["TERM"] !== "dumb" && !options.isJson;
  try {
    if (options.isOnce) await showOnce(client, options, signal);
    else if (isScreen) await showOnScreen(client, options, signal, !env["NO_COLOR"]);
    else await showChanges(client, options, signal);
  } catch (error) {
    if (!signal.aborted) refuse("top", [failureText(error, options.adminUrl, options.upstream)]);
  }
}

async function showOnce(client: Client<typeof TrafficAPI>, options: TopOptions, signal: AbortSignal): Promise<void> {
  const upstreams: UpstreamTraffic[] = [];
  let pageToken = "";
  do {
    const request = { upstream: options.upstream ?? "", byNode: options.byNode, pageSize: 100, pageToken };
    const page = await client.getTraffic(request, { signal });
    upstreams.push(...page.upstreams);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  if (options.isJson) print(jsonText(upstreams.map(jsonOf), 2));
  else print(upstreams.length === 0 ? "There are no upstreams.\n" : tableText(upstreams, options));
}

/** Prints what there is and then each upstream in which something changes. */
async function showChanges(client: Client<typeof TrafficAPI>, options: TopOptions, signal: AbortSignal): Promise<void> {
  let isGone = false;
  const onGone = (error: unknown) => {
    if (!isGone) warn(`${failureText(error, options.adminUrl, null)}; trying again until it answers`);
    isGone = true;
  };
  const onBack = () => {
    isGone = false;
    warn(`${options.adminUrl}: connected again`);
  };
  for await (const { traffic, deleted } of watch(client, options, { signal, onGone, onBack })) {
    if (traffic === undefined) continue;
    if (options.isJson) print(jsonText({ deleted, ...jsonOf(traffic) }));
    else
      print(deleted ? linesText([`${traffic.upstreamName} was deleted.`, ""]) : `${tableText([traffic], options)}\n`);
  }
}

/** Draws all of it again whenever something changes. */
async function showOnScreen(
  client: Client<typeof TrafficAPI>,
  options: TopOptions,
  signal: AbortSignal,
  isColoured: boolean,
): Promise<void> {
  const upstreams = new Map<string, UpstreamTraffic>();
  let gone = "";
  const page = {
    isColoured,
    moreHint: "; --sort brings others up here",
    heading: () => {
      const facts = gone || `${new Date().toLocaleTimeString()}  upstreams: ${upstreams.size}`;
      return `penstock top  ${options.adminUrl}  ${facts}`;
    },
    lines: () => topTable([...upstreams.values()], options.sortBy),
  };
  await showLivePage(page, async (draw, drawSoon) => {
    const onGone = () => {
      // What is shown below it is of that time. It has to fit into 80 columns.
      gone ||= `NOT CONNECTED since ${new Date().toLocaleTimeString()}; retrying`;
      draw();
    };
    const onBack = () => {
      gone = "";
      // What was deleted meanwhile nobody tells of.
      upstreams.clear();
      draw();
    };
    for await (const { traffic, deleted } of watch(client, options, { signal, onGone, onBack })) {
      if (traffic === undefined) continue;
      if (deleted) upstreams.delete(traffic.upstreamId);
      else upstreams.set(traffic.upstreamId, traffic);
      drawSoon();
    }
  });
}

function watch(
  client: Client<typeof TrafficAPI>,
  { upstream, byNode }: TopOptions,
  watched: Omit<WatchedAgain<never>, "open">,
) {
  return watchAgain({
    ...watched,
    open: (options) => client.watchTraffic({ upstream: upstream ?? "", byNode }, options),
  });
}

function tableText(upstreams: readonly UpstreamTraffic[], { sortBy }: TopOptions): string {
  return linesText(topTable(upstreams, sortBy).map(({ text }) => text));
}

function jsonOf(upstream: UpstreamTraffic) {
  return toJson(UpstreamTrafficSchema, upstream, { alwaysEmitImplicit: true }) as Record<string, unknown>;
}

function print(text: string): void {
  process.stdout.write(text);
}

function warn(line: string): void {
  process.stderr.write(linesText([`penstock top: ${line}`]));
}
