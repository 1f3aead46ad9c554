import type { KnipConfig } from "knip";

const config: KnipConfig = {
  entry: [
    "cli/penstock.ts",
    // Loaded by a computed name: a plane loads only its own code.
    "{control-plane,data-plane}/main.ts",
    // Threads.
    "data-plane/worker.ts",
    "control-plane/store/sqlite-worker.ts",
    "**/*.test-worker.ts",
    "scripts/*.{cjs,mjs}",
    "bench/{bench,micro,loader}.ts",
    "bench/peers/*.ts",
    "proof/*.ts",
    // Processes and threads that tests start.
    "test/support/*.ts",
  ],
  project: ["{bin,cli,control-plane,data-plane,test,bench,proof,scripts,proto}/**/*.{ts,js,cjs,mjs}"],
  ignore: ["proto/gen/**"],
  ignoreExportsUsedInFile: true,
  // buf runs protoc-gen-es.
  ignoreDependencies: ["@bufbuild/protoc-gen-es"],
  // One table may carry two names, one for each direction.
  rules: { duplicates: "off" },
  ignoreBinaries: ["unshare", "ip", "mount", "taskset", "prlimit", "systemd-analyze"],
};

export default config;
