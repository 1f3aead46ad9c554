import { describe, expect, it } from "vitest";
import { clientLimits } from "./limit-options.ts";
import { type DataPlaneOptions, parseOptions } from "./options.ts";
import { defaultClientLimits } from "./proxy/client-limits.ts";

function optionsOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}): DataPlaneOptions {
  const parsed = parseOptions(argv, env);
  if (parsed.type !== "options") throw new Error(JSON.stringify(parsed));
  return parsed.options;
}

function problemsOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}): readonly string[] {
  const parsed = parseOptions(argv, env);
  return parsed.type === "problems" ? parsed.lines : [];
}

describe("parseOptions", () => {
  it("has a default for everything", () => {
    expect(optionsOf([])).toMatchObject({
      controlPlanes: ["127.0.0.1:8005"],
      proxyListen: { host: "0.0.0.0", port: 8000 },
      proxyTlsListen: { host: "0.0.0.0", port: 8443 },
      statusListen: { host: "127.0.0.1", port: 8100 },
      stateDir: "./.penstock",
      nodeId: null,
      labels: {},
      zone: null,
      workers: null,
      accept: "worker",
      hostsFile: "/etc/hosts",
      drainTimeoutMs: 30_000,
      isTakeOver: false,
      logLevel: "info",
      given: new Set(),
    });
  });

  it.each<{ argv: string[]; env?: NodeJS.ProcessEnv; want: Partial<DataPlaneOptions> }>([
    { argv: ["--proxy-listen", "127.0.0.1:0"], want: { proxyListen: { host: "127.0.0.1", port: 0 } } },
    { argv: ["--proxy-listen=[::1]:80"], want: { proxyListen: { host: "::1", port: 80 } } },
    {
      argv: [],
      env: { PENSTOCK_PROXY_LISTEN: "localhost:80" },
      want: { proxyListen: { host: "localhost", port: 80 } },
    },
    { argv: ["--workers", "3"], env: { PENSTOCK_WORKERS: "4" }, want: { workers: 3 } },
    { argv: [], env: { PENSTOCK_WORKERS: "" }, want: { workers: null } },
    { argv: [], want: { trustedProxies: [] } },
    { argv: [], want: { debugFrom: ["127.0.0.0/8", "::1"] } },
    { argv: ["--debug-from", "none"], want: { debugFrom: [] } },
    { argv: ["--debug-from", "10.0.0.0/8"], want: { debugFrom: ["10.0.0.0/8"] } },
    { argv: ["--trusted-proxies", "10.0.0.0/8, ::1"], want: { trustedProxies: ["10.0.0.0/8", "::1"] } },
    { argv: ["--control-plane", "a:1, [::1]:2,a:1"], want: { controlPlanes: ["a:1", "[::1]:2"] } },
    { argv: ["--labels", "zone=a,rack=7"], want: { labels: { zone: "a", rack: "7" } } },
    { argv: ["--zone", "eu-1a"], want: { zone: "eu-1a" } },
    { argv: [], env: { PENSTOCK_ZONE: "eu-1b" }, want: { zone: "eu-1b" } },
    {
      argv: ["--node-id", "0B5E1B2A-0000-4000-8000-000000000001"],
      want: { nodeId: "0b5e1b2a-0000-4000-8000-000000000001" },
    },
    { argv: ["--drain-timeout", "2m"], want: { drainTimeoutMs: 120_000 } },
    { argv: ["--drain-timeout", "500ms"], want: { drainTimeoutMs: 500 } },
    { argv: ["--drain-timeout", "1h"], want: { drainTimeoutMs: 3_600_000 } },
    { argv: ["--drain-timeout", "5"], want: { drainTimeoutMs: 5_000 } },
    { argv: ["--proxy-tls-listen", "off"], want: { proxyTlsListen: null } },
    { argv: ["--proxy-tls-listen", "[::1]:443"], want: { proxyTlsListen: { host: "::1", port: 443 } } },
    { argv: [], want: { tlsCertificate: null, tlsKey: null, tlsMinVersion: "1.2", sniCheck: "certificate" } },
    { argv: ["--tls-min-version", "1.3", "--sni-check=off"], want: { tlsMinVersion: "1.3", sniCheck: "off" } },
    { argv: ["--tls-handshake-timeout", "3s"], want: { tlsHandshakeTimeoutMs: 3_000 } },
    {
      argv: [],
      want: { dnsServers: null, dnsSearch: null, dnsNdots: null, dnsFamily: "fastest", dnsOutageMaxMs: 86_400_000 },
    },
    {
      argv: ["--dns-servers", "10.0.0.1, [fd00::1]:5353"],
      want: {
        dnsServers: [
          { host: "10.0.0.1", port: 53 },
          { host: "fd00::1", port: 5_353 },
        ],
      },
    },
    { argv: ["--dns-search", "A.test, b.test."], want: { dnsSearch: ["a.test", "b.test"] } },
    { argv: ["--dns-search", ".", "--dns-ndots=5"], want: { dnsSearch: [""], dnsNdots: 5 } },
    {
      argv: ["--dns-family", "ipv6-first", "--dns-srv", "all-names"],
      want: { dnsFamily: "ipv6-first", dnsSrv: "all-names" },
    },
    { argv: ["--take-over"], want: { isTakeOver: true } },
    { argv: ["--accept", "main"], want: { accept: "main" } },
    { argv: ["--spare-worker", "false"], want: { keepsSpareWorker: false } },
    { argv: ["--upstream-idle-timeout", "4s"], want: { upstreamIdleTimeoutMs: 4_000 } },
    { argv: [], env: { PENSTOCK_TAKE_OVER: "true" }, want: { isTakeOver: true } },
    { argv: ["--body-max-bytes", "0"], want: { bodyMaxBytes: 0 } },
    { argv: ["--total-timeout", "90s"], want: { totalTimeoutMs: 90_000 } },
    { argv: ["--memory-limit-mb", "512"], want: { memoryLimitMb: 512 } },
    { argv: ["--routes-max", "10"], want: { routesMax: 10 } },
  ])("reads $argv with $env", ({ argv, env, want }) => {
    expect(optionsOf(argv, env)).toMatchObject(want);
  });

  it("knows which options were given", () => {
    expect(optionsOf(["--workers", "1"], { PENSTOCK_HOSTS_FILE: "/h" }).given).toEqual(
      new Set(["workers", "hostsFile"]),
    );
  });

  it.each([
    { argv: ["--worker", "1"], want: 'unknown option "--worker"' },
    { argv: ["data"], want: 'unknown option "data"' },
    { argv: ["--constructor", "1"], want: 'unknown option "--constructor"' },
    { argv: ["--workers"], want: "--workers: needs a value, COUNT" },
    { argv: ["--workers", "--take-over"], want: "--workers: needs a value, COUNT" },
    { argv: ["--workers", "0"], want: '--workers: "0" is not a whole number from 1 to 256' },
    { argv: ["--workers", "1.5"], want: '--workers: "1.5"' },
    { argv: ["--proxy-listen", "8000"], want: '--proxy-listen: "8000" is not host:port' },
    { argv: ["--tls-min-version", "1.1"], want: "is not one of 1.2, 1.3" },
    { argv: ["--proxy-listen", "a:65536"], want: "is not host:port" },
    { argv: ["--proxy-listen", "::1:80"], want: "is not host:port" },
    { argv: ["--proxy-listen", "[a]:80"], want: "no IPv6 address" },
    { argv: ["--control-plane", "a:1,b"], want: '"b" is not host:port' },
    { argv: ["--control-plane", "a:0"], want: "port 0" },
    { argv: ["--labels", "a"], want: "key=value" },
    { argv: ["--labels", "a=1,a=2"], want: "a twice" },
    { argv: ["--node-id", "x"], want: "is not a uuid" },
    { argv: ["--dns-servers", "ns.example.com"], want: "is no address[:port]" },
    { argv: ["--dns-search", "a b"], want: "is no domain" },
    { argv: ["--drain-timeout", "1d"], want: "is not a time" },
    { argv: ["--drain-timeout", "25000m"], want: "is not a time" },
    { argv: ["--accept", "nobody"], want: "is not one of worker, main" },
    { argv: ["--accept", "kernel"], want: "is not one of worker, main" },
    { argv: ["--head-max-bytes", "0"], want: "is not a whole number from 1 to 1048576" },
    { argv: ["--take-over=maybe"], want: "is not true or false" },
    { argv: ["--log-level", "loud"], want: "is not one of trace" },
  ])("refuses $argv", ({ argv, want }) => {
    expect(problemsOf(argv)).toEqual([expect.stringContaining(want)]);
  });

  it("tells of every problem at once, and names the environment where it comes from there", () => {
    const problems = problemsOf(["--workers", "x", "--nonsense"], { PENSTOCK_STATUS_LISTEN: "y" });
    expect(problems).toHaveLength(3);
    expect(problems).toContain('PENSTOCK_STATUS_LISTEN: "y" is not host:port');
  });

  it("shows every option with its environment name and its default in the help, whatever else is wrong", () => {
    const parsed = parseOptions(["--nonsense", "--help"], {});
    const text = parsed.type === "help" ? parsed.text : "";
    for (const flag of [...text.matchAll(/^ {2}--([a-z-]+)/gm)].map((match) => match[1]!)) {
      if (flag === "help") continue;
      expect(text).toContain(`PENSTOCK_${flag.toUpperCase().replaceAll("-", "_")}; default: `);
    }
    expect(text).toContain("environment: PENSTOCK_PROXY_LISTEN; default: 0.0.0.0:8000\n");
    expect(text.match(/environment: /g)).toHaveLength(Object.keys(optionsOf([])).length - 1);
  });
});

describe("clientLimits", () => {
  it("are the documented ones where no option is set", () => {
    expect(clientLimits(optionsOf([]))).toEqual(defaultClientLimits);
  });

  it("are what the options say", () => {
    const argv = ["--headers-max=7", "--body-max-bytes=5", "--rate-grace=1s", "--shed-lag=1s", "--total-timeout=2s"];
    const want = { fieldMaxCount: 7, bodyMaxBytes: 5, rateGraceMs: 1_000, shedLagMs: 1_000, totalTimeoutMs: 2_000 };
    expect(clientLimits(optionsOf(argv))).toEqual({ ...defaultClientLimits, ...want });
    expect(clientLimits(optionsOf(["--connections-max=20"])).connectionMaxCount).toBe(20);
  });
});
