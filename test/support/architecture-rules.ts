import { dirname, join, normalize } from "node:path";

/** Source files by path from the repository's root. */
export type Sources = ReadonlyMap<string, string>;

/** One broken rule, with the place to look at. */
export interface Violation {
  readonly file: string;
  readonly what: string;
}

interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

/** Comments and the text of strings say nothing about what code does: blanked before words are looked for. */
function codeOnly(source: string): string {
  return source
    .replace(/\/\*[\s\S]*?\*\//g, " ")
    .replace(/(^|[^:])\/\/.*$/gm, "$1")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, '""')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''");
}

export function importsOf(source: string): Import[] {
  const imports: Import[] = [];
  const pattern = /^(?:import|export)\s+(type\s+)?(?:[^;"']*?\sfrom\s+)?"([^"]+)"/gm;
  for (const match of source.matchAll(pattern))
    imports.push({ specifier: match[2]!, isTypeOnly: match[1] !== undefined });
  for (const match of source.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g))
    imports.push({ specifier: match[1]!, isTypeOnly: false });
  return imports;
}

function resolveImport(file: string, specifier: string): string | null {
  return specifier.startsWith(".") ? normalize(join(dirname(file), specifier)) : null;
}

const isTest = (file: string): boolean => /\.(test|fuzz|bench)\.ts$/.test(file) || /\.test-[a-z-]+\.ts$/.test(file);

/**
 * Floors of each plane, lowest first; a room imports from its own floor or below. The files that lie directly in a
 * plane's folder (main, options, worker ...) are the top floor.
 */
const floors: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "control-plane": [
    ["steps"],
    ["store", "resource", "observation", "telemetry", "http2"],
    ["snapshot"],
    ["admin", "sync", "identity", "rollout"],
    ["api"],
    [""],
  ],
  "data-plane": [
    ["steps"],
    ["config"],
    ["http1", "health", "telemetry", "socket", "tls"],
    ["route", "balance", "upstream", "observation"],
    ["snapshot"],
    ["proxy", "health-check", "sync", "identity", "status"],
    ["listener"],
    [""],
  ],
};

function placeOf(file: string): { plane: string; room: string; floor: number } | null {
  const [plane = "", ...rest] = file.split("/");
  const planeFloors = floors[plane];
  if (planeFloors === undefined) return null;
  const room = rest.length > 1 ? rest[0]! : "";
  return { plane, room, floor: planeFloors.findIndex((rooms) => rooms.includes(room)) };
}

/** The planes share only proto/, every room stands on a known floor, and imports only go down. */
export function layeringViolations(sources: Sources): Violation[] {
  const violations: Violation[] = [];
  for (const [file, source] of sources) {
    const from = placeOf(file);
    if (from === null || isTest(file)) continue;
    if (from.floor < 0) violations.push({ file, what: `room ${from.plane}/${from.room} stands on no floor` });
    for (const { specifier } of importsOf(source)) {
      const target = resolveImport(file, specifier);
      if (target === null || target.startsWith("proto/")) continue;
      const to = placeOf(target);
      if (to === null || to.plane !== from.plane)
        violations.push({ file, what: `imports ${target}: planes share only proto/` });
      else if (to.floor > from.floor) violations.push({ file, what: `imports ${target}, which stands above it` });
    }
  }
  return violations;
}

/** No circle of imports; type-only imports vanish at run time and do not count. */
export function circleViolations(sources: Sources): Violation[] {
  const violations: Violation[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === "done") return;
    if (state.get(file) === "open") {
      violations.push({
        file,
        what: `imports itself through ${[...path.slice(path.indexOf(file)), file].join(" -> ")}`,
      });
      return;
    }
    state.set(file, "open");
    for (const { specifier, isTypeOnly } of importsOf(sources.get(file) ?? "")) {
      const target = isTypeOnly ? null : resolveImport(file, specifier);
      if (target !== null && sources.has(target)) visit(target, [...path, file]);
    }
    state.set(file, "done");
  };
  for (const file of sources.keys()) if (!file.startsWith("proto/gen/")) visit(file, []);
  return violations;
}

/** Folders, and single files, that do no I/O and read neither clock nor randomness. */
const pure = [
  "control-plane/resource/",
  "control-plane/snapshot/build-snapshot.ts",
  "control-plane/snapshot/certificate-demand.ts",
  "control-plane/snapshot/node-conditions.ts",
  "control-plane/snapshot/reference-demand.ts",
  "control-plane/snapshot/server-name-patterns.ts",
  "control-plane/snapshot/subset-graph.ts",
  "control-plane/snapshot/judge-refusal.ts",
  "control-plane/snapshot/complete-hold.ts",
  "control-plane/sync/ack-state.ts",
  "control-plane/rollout/publication-ledger.ts",
  "control-plane/rollout/rollout-steps.ts",
  "control-plane/rollout/judge-stage.ts",
  "control-plane/rollout/rollout-policy.ts",
  "control-plane/identity/spiffe-id.ts",
  "control-plane/identity/name-constraints.ts",
  "data-plane/config/",
  "data-plane/http1/",
  "data-plane/route/",
  "data-plane/balance/",
  "data-plane/health/",
  "data-plane/tls/client-hello.ts",
  "data-plane/tls/server-names.ts",
  "data-plane/snapshot/compile-snapshot.ts",
  "data-plane/snapshot/compile-tls.ts",
  "data-plane/sync/backoff.ts",
  "data-plane/proxy/forward-head.ts",
  "data-plane/proxy/retry.ts",
  "data-plane/proxy/proxy-error.ts",
  "data-plane/proxy/error-response.ts",
];
/** Node's modules that only compute; node:module loads code of ours, such as the engine of regular expressions. */
const computingModules = new Set([
  "node:assert",
  "node:assert/strict",
  "node:buffer",
  "node:util",
  "node:path",
  "node:module",
]);
const impureWords =
  /\b(Date\.now|new Date\(\)|performance\.now|process\.(?!nextTick)\w+|Math\.random|randomBytes|randomUUID|setTimeout|setInterval|setImmediate|console\.\w+|fetch)\b/;

/** What only computes of modules that do more: by module, the names that may be imported of it. */
const computingNames: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["node:net", new Set(["isIP", "isIPv4", "isIPv6"])],
  ["node:crypto", new Set(["createHash", "createPrivateKey", "KeyObject", "X509Certificate"])],
  // Reads certificates and keys, and opens nothing.
  ["node:tls", new Set(["createSecureContext"])],
]);

function isComputingImport(specifier: string, source: string): boolean {
  const names = new RegExp(`import \\{([^}]*)\\} from "${specifier}"`).exec(source)?.[1]?.split(",");
  const allowed = computingNames.get(specifier);
  return names?.every((name) => allowed?.has(name.trim().replace(/^type /, "")) === true) ?? false;
}

export function purityViolations(sources: Sources): Violation[] {
  const violations: Violation[] = [];
  for (const [file, source] of sources) {
    if (isTest(file) || !pure.some((place) => file.startsWith(place))) continue;
    for (const { specifier, isTypeOnly } of importsOf(source)) {
      if (isTypeOnly || !specifier.startsWith("node:") || computingModules.has(specifier)) continue;
      if (isComputingImport(specifier, source)) continue;
      violations.push({ file, what: `imports ${specifier} in a pure place` });
    }
    const word = impureWords.exec(codeOnly(source));
    if (word !== null) violations.push({ file, what: `uses ${word[0]} in a pure place` });
  }
  return violations;
}

export const fileMaxLines = 400;

export function sizeViolations(sources: Sources): Violation[] {
  const violations: Violation[] = [];
  for (const [file, source] of sources) {
    const count = source.split("\n").length - 1;
    if (count > fileMaxLines && !file.startsWith("proto/gen/"))
      violations.push({ file, what: `${count} lines; at most ${fileMaxLines}` });
  }
  return violations;
}

const bannedInFileName = /(^|[-/])(utils?|helpers?|common|misc|managers?|data|info|impl)([-./]|$)|(^|\/)index\.ts$/;
const bannedInCode =
  /\b(?:function|class|const|let|interface)\s+((?:do[A-Z]\w*)|\w*(?:Utils?|Helper|Manager|Misc|Impl)|handle\d)\b|\btype\s+(\w*(?:Utils?|Helper|Manager|Misc|Impl))\s*[=<]/;

export function nameViolations(sources: Sources): Violation[] {
  const violations: Violation[] = [];
  for (const [file, source] of sources) {
    if (file.startsWith("proto/gen/")) continue;
    const withoutPlane = file.replace(/^data-plane\//, "");
    if (bannedInFileName.test(withoutPlane)) violations.push({ file, what: "a name that says nothing" });
    if (/[A-Z_]/.test(file)) violations.push({ file, what: "file names are kebab-case" });
    const name = bannedInCode.exec(codeOnly(source));
    if (name !== null) violations.push({ file, what: `the name ${name[1] ?? name[2]}` });
  }
  return violations;
}

/** Who may do what: errors for gRPC clients come from its face, our own HTTP answers from one file. */
export function roleViolations(sources: Sources): Violation[] {
  const violations: Violation[] = [];
  for (const [file, source] of sources) {
    if (isTest(file) || placeOf(file) === null) continue;
    if (/\bnew ConnectError\(/.test(source) && !file.startsWith("control-plane/api/grpc/"))
      violations.push({ file, what: "makes a ConnectError outside the gRPC face" });
    if (
      file.startsWith("data-plane/") &&
      /["'`]HTTP\/1\.1 [45]\d\d/.test(source) &&
      !file.endsWith("/error-response.ts")
    )
      violations.push({ file, what: "writes an answer of our own outside error-response.ts" });
  }
  return violations;
}

/** Packages that a traffic worker must not load, directly or through others, before it needs them. */
const heavyForWorkers = [
  "@bufbuild/protobuf",
  "@bufbuild/protovalidate",
  "@grpc/grpc-js",
  "@connectrpc/connect",
  "undici",
  "pino",
  "@peculiar/x509",
];
/** Packages that no part of the data plane loads. */
const notForDataPlane = [
  "@bufbuild/protovalidate",
  "@connectrpc/connect",
  "@connectrpc/connect-node",
  "kysely",
  "find-my-way",
  "qs",
];

function packagesReached(sources: Sources, entry: string): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { specifier, isTypeOnly } of importsOf(sources.get(file) ?? "")) {
      if (isTypeOnly) continue;
      const target = resolveImport(file, specifier);
      if (target !== null) visit(target);
      else
        packages.add(
          specifier
            .split("/")
            .slice(0, specifier.startsWith("@") ? 2 : 1)
            .join("/"),
        );
    }
  };
  visit(entry);
  return packages;
}

export function dependencyViolations(sources: Sources): Violation[] {
  const violations: Violation[] = [];
  const refuse = (entry: string, banned: readonly string[]): void => {
    for (const name of packagesReached(sources, entry))
      if (banned.includes(name)) violations.push({ file: entry, what: `loads ${name}` });
  };
  refuse("data-plane/worker.ts", heavyForWorkers);
  refuse("data-plane/run-node.ts", notForDataPlane);
  return violations;
}
