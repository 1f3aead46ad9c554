import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BenchProcess, firstLineOf, type RunningSubject, type Subject, type SubjectSetup } from "./subject.ts";

interface PeerRecipe {
  readonly name: string;
  readonly versionArgs: readonly string[];
  /** File in bench/peers/. */
  readonly configFile: string;
  /** The command line, given where the filled-in configuration lies. */
  command(configPath: string): readonly string[];
  readonly env?: Record<string, string>;
}

const recipes: readonly PeerRecipe[] = [
  {
    name: "nginx",
    versionArgs: ["-v"],
    configFile: "nginx.conf",
    command: (configPath) => ["nginx", "-p", join(configPath, ".."), "-c", configPath, "-e", "stderr"],
  },
  {
    name: "haproxy",
    versionArgs: ["-v"],
    configFile: "haproxy.cfg",
    command: (configPath) => ["haproxy", "-db", "-f", configPath],
  },
  {
    name: "envoy",
    versionArgs: ["--version"],
    configFile: "envoy.yaml",
    command: (configPath) => ["envoy", "--concurrency", "1", "--use-dynamic-base-id", "-l", "error", "-c", configPath],
  },
  {
    name: "caddy",
    versionArgs: ["version"],
    configFile: "Caddyfile",
    command: (configPath) => ["caddy", "run", "--adapter", "caddyfile", "--config", configPath],
    env: { GOMAXPROCS: "1" },
  },
];

/** The proxies that ours is compared with, whether they are on this machine or not. */
export const peers: readonly Subject[] = recipes.map((recipe) => ({
  name: recipe.name,
  version: () => firstLineOf(recipe.name, recipe.versionArgs),
  start: (setup) => startPeer(recipe, setup),
}));

async function startPeer(recipe: PeerRecipe, setup: SubjectSetup): Promise<RunningSubject> {
  const configPath = join(setup.folder, recipe.configFile);
  // nginx wants the folder of its temporary files to be there.
  mkdirSync(join(setup.folder, "temp"));
  writeFileSync(
    configPath,
    fillIn(readFileSync(new URL(`./peers/${recipe.configFile}`, import.meta.url), "utf8"), setup),
  );
  const peer = new BenchProcess(setup.cores.proxy, recipe.command(configPath), { cwd: setup.folder, env: recipe.env });
  await peer.listening(setup.listenPort);
  return { port: setup.listenPort, pid: peer.pid, stop: () => peer.stop() };
}

function fillIn(template: string, setup: SubjectSetup): string {
  const values: Record<string, number> = {
    listenPort: setup.listenPort,
    target1Port: setup.targetPorts[0],
    target2Port: setup.targetPorts[1],
    target1Weight: setup.targetWeights[0],
    target2Weight: setup.targetWeights[1],
  };
  return template.replace(/\{\{(\w+)\}\}/g, (placeholder, name: string) => String(values[name] ?? placeholder));
}
