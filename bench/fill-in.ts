import { routePrefix } from "./contestant.ts";
import type { SubjectSetup } from "./subject.ts";

type FilledSetup = Pick<
  SubjectSetup,
  "contestant" | "listenPort" | "targetPorts" | "targetWeights" | "folder" | "certificate"
>;

/** From a line with `{{#routes}}` to one with `{{/routes}}`: what stands between is repeated for every route. */
const routesBlock = /^.*\{\{#routes\}\}.*\n([\s\S]*?)^.*\{\{\/routes\}\}.*\n?/gm;

/** The same with `{{#tls}}` or `{{#plain}}`: left out where the workload is of the other kind. */
const eitherBlock = /^.*\{\{#(tls|plain)\}\}.*\n([\s\S]*?)^.*\{\{\/\1\}\}.*\n?/gm;

/** A peer's configuration with this run's values. */
export function fillIn(template: string, setup: FilledSetup): string {
  const values = {
    listenPort: setup.listenPort,
    target1Port: setup.targetPorts[0],
    target2Port: setup.targetPorts[1],
    target1Weight: setup.targetWeights[0],
    target2Weight: setup.targetWeights[1],
    folder: setup.folder,
    certificatePath: setup.certificate?.certPath ?? "",
    keyPath: setup.certificate?.keyPath ?? "",
    bothPath: setup.certificate?.bothPath ?? "",
  };
  const { routeCount } = setup.contestant.routing;
  const wanted = setup.certificate === null ? "plain" : "tls";
  const chosen = template.replace(eitherBlock, (_, kind: string, block: string) => (kind === wanted ? block : ""));
  const unrolled = chosen.replace(routesBlock, (_, block: string) =>
    Array.from({ length: routeCount }, (_, route) => replaceValues(block, { routePrefix: routePrefix(route) })).join(
      "",
    ),
  );
  return replaceValues(unrolled, values);
}

function replaceValues(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{\{(\w+)\}\}/g, (placeholder, name: string) => String(values[name] ?? placeholder));
}
