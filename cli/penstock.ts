/** What `penstock` can be told to run, and where that lies. */
const commands = {
  "control-plane": "owns the configuration, serves the Admin API, feeds the nodes",
  "data-plane": "carries traffic by the configuration of a control plane",
  health: "shows what the nodes see of the targets",
  explain: "asks a node what it would do with a request",
  top: "shows what requests meet there, live",
  nodes: "shows what the data planes serve, how far they are behind and how they do",
  node: "lets data planes join, and cuts them off",
  quarantine: "shows what data planes refused and what they get instead, and lets it go",
  rollout: "shows and commands how changes reach the data planes",
} as const;

/** Module specifiers end in .js in compiled code and in .ts in the sources. */
const ending = import.meta.url.endsWith(".ts") ? ".ts" : ".js";

interface PlaneModule {
  main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<unknown>;
}

/**
 * Runs the command line: `penstock control-plane`, `penstock data-plane`, or without a command both.
 * Exit codes: 0 after a graceful end, 1 for a bug, 2 for what the user can put right; the other commands have their own.
 */
export async function penstock(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [first, ...rest] = argv;
  if (first === "--version" || first === "-V") {
    const { readVersion } = await import("../control-plane/version.ts");
    console.log(readVersion());
  } else if (first === undefined || first.startsWith("-")) {
    const { startBothPlanes } = await import("./start-both-planes.ts");
    await startBothPlanes(argv, env);
  } else if (first === "health") {
    const { health } = await import("./health.ts");
    await health(rest, env);
  } else if (first === "explain") {
    const { explain } = await import("./explain.ts");
    await explain(rest, env);
  } else if (first === "top") {
    const { top } = await import("./top.ts");
    await top(rest, env);
  } else if (first === "nodes") {
    const { nodes } = await import("./nodes.ts");
    await nodes(rest, env);
  } else if (first === "node") {
    const { node } = await import("./node.ts");
    await node(rest, env);
  } else if (first === "quarantine") {
    const { quarantine } = await import("./quarantine.ts");
    await quarantine(rest, env);
  } else if (first === "rollout") {
    const { rollout } = await import("./rollout.ts");
    await rollout(rest, env);
  } else if (Object.hasOwn(commands, first)) {
    // Loaded by a computed name, so that one plane never loads the other's code.
    const plane = (await import(new URL(`../${first}/main${ending}`, import.meta.url).href)) as PlaneModule;
    await plane.main(rest, env);
  } else {
    console.error(`penstock: there is no command '${first}'; there are: ${Object.keys(commands).join(", ")}`);
    process.exit(2);
  }
}
