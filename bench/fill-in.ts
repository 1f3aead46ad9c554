import { routePrefix } from "./contestant.ts";
import type { SubjectSetup } from "./subject.ts";

type FilledSetup = Pick<SubjectSetup, "contestant" | "listenPort" | "targetPorts" | "targetWeights" | "folder">;

/** From a line with `{{#routes}}` to one with `{{/routes}}`: what stands between is repeated for every route. */
const routesBlock = /^.*\{\{#routes\}\}.*\n([\s\S]*?)^.*\{\{\/routes\}\}.*\n?/gm;

/** A peer's configuration with this run's values. */
export function fillIn(template: string, setup: FilledSetup): string {
  const values = {
    listenPort: setup.listenPort,
    target1Port: setup.targetPorts[0],
    target2Port: setup.targetPorts[1],
    target1Weight: setup.targetWeights[0],
    target2Weight: setup.targetWeights[1],
    folder: setup.folder,
  };
  const { routeCount } = setup.contestant.routing;
  const unrolled = template.replace(routesBlock, (_, block: string) =>
    Array.from({ length: routeCount }, (_, route) => replaceValues(block, { routePrefix: routePrefix(route) })).join(
      "",
    ),
  );
  return replaceValues(unrolled, values);
}

function replaceValues(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{\{(\w+)\}\}/g, (placeholder, name: string) => String(values[name] ?? placeholder));
}
