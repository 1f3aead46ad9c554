import {
  type ParsedOptions as ControlPlaneParsed,
  controlPlaneFlags,
  parseOptions as parseControlPlane,
} from "../control-plane/options.ts";
import { dataPlaneFlags, parseOptions as parseDataPlane } from "../data-plane/options.ts";

export type BothPlanesParsed =
  | {
      readonly type: "options";
      readonly controlPlane: Extract<ControlPlaneParsed, { type: "options" }>["options"];
      /** Command line of the data plane, without the control plane's address, which is known only once it listens. */
      readonly dataPlaneArguments: readonly string[];
      readonly env: NodeJS.ProcessEnv;
    }
  | { readonly type: "help"; readonly text: string }
  | { readonly type: "problems"; readonly lines: readonly string[] };

const intro = `Usage: penstock [options]                   a control plane and a data plane
       penstock control-plane [options]     the control plane alone
       penstock data-plane [options]        a data plane alone
       penstock health [UPSTREAM]           what the nodes see of the targets
       penstock explain [METHOD] URL        what a node would do with a request
       penstock top [UPSTREAM]              what requests meet there, live
       penstock nodes [ID]                  what the data planes serve, and how they do
       penstock node token                  lets a data plane on another machine join
       penstock --version

Without a command, runs a control plane and, as a process of its own, one data plane that takes its
configuration from it. Both planes' options may be given; --log-level is "warn" by default here.
`;

/** The settings of a plane's own help, without its first lines. */
function settingsOf(help: { readonly type: string; readonly text?: string }): string {
  return (help.text ?? "").replace(/^Usage:.*\n\n.*\n\n/, "").replace(/ {2}--help\n.*\n/, "");
}

/** Splits the command line by which plane knows a flag, and reads both planes' options; every problem is told at once. */
export function parseBothPlanes(argv: readonly string[], givenEnv: NodeJS.ProcessEnv): BothPlanesParsed {
  if (argv.includes("--help") || argv.includes("-h")) {
    const controlPlane = settingsOf(parseControlPlane(["--help"], {}));
    const dataPlane = settingsOf(parseDataPlane(["--help"], {}));
    return { type: "help", text: `${intro}\nControl plane:\n\n${controlPlane}\nData plane:\n\n${dataPlane}` };
  }
  // Somebody who just tries it wants the addresses and what goes wrong, not a log.
  const env = { ...givenEnv, PENSTOCK_LOG_LEVEL: givenEnv["PENSTOCK_LOG_LEVEL"] || "warn" };
  const split = splitArguments(argv);
  const controlPlane = parseControlPlane(split.controlPlane, env);
  const dataPlane = parseDataPlane(split.dataPlane, env);
  const problems = [...split.problems];
  if (controlPlane.type === "options" && controlPlane.options.syncIdentity.type === "own")
    problems.push("--sync-cert: certificates from elsewhere are for planes that are started apart");
  for (const parsed of [controlPlane, dataPlane]) if (parsed.type === "problems") problems.push(...parsed.lines);
  if (problems.length > 0 || controlPlane.type !== "options")
    return { type: "problems", lines: [...new Set(problems)] };
  return { type: "options", controlPlane: controlPlane.options, dataPlaneArguments: split.dataPlane, env };
}

function splitArguments(argv: readonly string[]) {
  const controlPlane: string[] = [];
  const dataPlane: string[] = [];
  const problems: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    const flag = /^--([a-z-]+)/.exec(argument)?.[1] ?? "";
    const next = argv[i + 1];
    const hasValueBehind = !argument.includes("=") && next !== undefined && !next.startsWith("--");
    const words = hasValueBehind ? [argument, next] : [argument];
    const isOfControlPlane = controlPlaneFlags.includes(flag);
    const isOfDataPlane = dataPlaneFlags.includes(flag);
    if (flag === "control-plane")
      problems.push("--control-plane: without a command, the data plane's control plane is the one beside it");
    else if (!isOfControlPlane && !isOfDataPlane)
      problems.push(`unknown option ${JSON.stringify(argument)}; see --help`);
    if (isOfControlPlane) controlPlane.push(...words);
    if (isOfDataPlane) dataPlane.push(...words);
    if (hasValueBehind) i++;
  }
  return { controlPlane, dataPlane, problems };
}
