"use strict";
// Runs before `npm start` and `npm test`, maybe under an old Node (14.18 and later run this file): installs the
// dependencies when they are missing or older than the lockfile, among them the Node that the rest runs on, and with
// the word "build" compiles the planes into dist.
const fs = require("node:fs");
const path = require("node:path");
const childProcess = require("node:child_process");

const root = path.join(__dirname, "..");
const modules = path.join(root, "node_modules");
const isWindows = process.platform === "win32";

function changedAtMs(file) {
  try {
    return fs.statSync(file).mtimeMs;
  } catch (_missing) {
    return 0;
  }
}

/**
 * npm writes this file as the last step of an install, so that an install cut short is done again. One that is cut short
 * beside another one can leave it without the rest.
 */
const installedAtMs = changedAtMs(path.join(modules, ".package-lock.json"));
const compiler = path.join(modules, "typescript", "bin", "tsc");

function run(command, args, what) {
  const result = childProcess.spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (result.error) {
    console.error("penstock: " + what + " failed: " + result.error.message);
    process.exit(1);
  }
  if (result.status !== 0) {
    console.error("penstock: " + what + " failed (exit code " + result.status + ")");
    process.exit(result.status || 1);
  }
}

function install() {
  console.error("penstock: installing dependencies (first run, or the lockfile changed) ...");
  const args = [
    "ci",
    "--ignore-scripts",
    "--include=dev",
    "--include=optional",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ];
  const npm = process.env.npm_execpath;
  if (npm && /\.c?js$/.test(npm)) run(process.execPath, [npm].concat(args), "npm ci");
  else run(isWindows ? "npm.cmd" : "npm", args, "npm ci");
}

/** The Node that the dependencies brought for this platform, else the one that runs this file. */
function nodeToRunOn() {
  const name = isWindows ? "node.exe" : "node";
  const brought = path.join(
    modules,
    "node-" + (isWindows ? "win" : process.platform) + "-" + process.arch,
    "bin",
    name,
  );
  return fs.existsSync(brought) ? brought : process.execPath;
}

const isStale = installedAtMs === 0 || installedAtMs < changedAtMs(path.join(root, "package-lock.json"));
if (isStale || !fs.existsSync(compiler)) install();
if (process.argv[2] === "build") {
  run(nodeToRunOn(), [compiler, "-p", "tsconfig.build.json"], "compiling");
}
