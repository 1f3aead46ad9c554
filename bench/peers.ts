import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BenchProcess, firstLineOf } from "./bench-process.ts";
import { fillIn } from "./fill-in.ts";
import type { RunningSubject, Subject, SubjectSetup } from "./subject.ts";

interface PeerRecipe {
  readonly name: string;
  /** The program, found on PATH, unless the environment names another one. */
  readonly command: string;
  readonly versionArgs: readonly string[];
  /** Files in bench/peers/, filled in for each run. */
  readonly configFiles: readonly string[];
  /** The arguments, given where the first of the files lies. */
  args(configPath: string): readonly string[];
  readonly env?: Record<string, string>;
}

const recipes: readonly PeerRecipe[] = [
  {
    name: "nginx",
    command: "nginx",
    versionArgs: ["-v"],
    configFiles: ["nginx.conf"],
    args: (configPath) => ["-p", join(configPath, ".."), "-c", configPath, "-e", "stderr"],
  },
  {
    name: "haproxy",
    command: "haproxy",
    versionArgs: ["-v"],
    configFiles: ["haproxy.cfg", "haproxy-routes.map"],
    args: (configPath) => ["-db", "-f", configPath],
  },
  {
    name: "envoy",
    command: "envoy",
    versionArgs: ["--version"],
    configFiles: ["envoy.yaml"],
    args: (configPath) => ["--concurrency", "1", "--use-dynamic-base-id", "-l", "error", "-c", configPath],
  },
  {
    name: "caddy",
    command: "caddy",
    versionArgs: ["version"],
    configFiles: ["Caddyfile"],
    args: (configPath) => ["run", "--adapter", "caddyfile", "--config", configPath],
    env: { GOMAXPROCS: "1" },
  },
  {
    name: "node-undici",
    command: process.execPath,
    versionArgs: ["--version"],
    configFiles: ["node-undici-proxy.conf"],
    args: (configPath) => [fileURLToPath(new URL("./peers/node-undici-proxy.ts", import.meta.url)), configPath],
  },
];

/** The environment's name for another program than the one on PATH. */
export function commandVariable(peerName: string): string {
  return `PENSTOCK_BENCH_${peerName.toUpperCase().replaceAll("-", "_")}`;
}

/** The proxies that ours is compared with, whether they are on this machine or not. */
export const peers: readonly Subject[] = recipes.map((recipe) => ({
  name: recipe.name,
  version: () => firstLineOf(commandOf(recipe), recipe.versionArgs),
  start: (setup) => startPeer(recipe, setup),
}));

function commandOf({ name, command }: PeerRecipe): string {
  return process.env[commandVariable(name)] || command;
}

async function startPeer(recipe: PeerRecipe, setup: SubjectSetup): Promise<RunningSubject> {
  // nginx wants the folder of its temporary files to be there.
  mkdirSync(join(setup.folder, "temp"));
  for (const file of recipe.configFiles) {
    const template = readFileSync(new URL(`./peers/${file}`, import.meta.url), "utf8");
    writeFileSync(join(setup.folder, file), fillIn(template, setup));
  }
  const command = [commandOf(recipe), ...recipe.args(join(setup.folder, recipe.configFiles[0]!))];
  const peer = new BenchProcess(setup.cores.proxy, command, { folder: setup.folder, env: recipe.env ?? {} });
  await peer.listening(setup.listenPort);
  return { port: setup.listenPort, pid: peer.pid, accessLogPath: null, stop: () => peer.stop() };
}
