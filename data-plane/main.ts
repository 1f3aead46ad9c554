import { limitHelpers } from "./short-collections.ts";

/** `penstock data-plane`: see `runNode`. */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  // Before the rest is loaded: by then V8 may have begun to mark.
  limitHelpers();
  const { runNode } = await import("./run-node.ts");
  await runNode(argv, env);
}
