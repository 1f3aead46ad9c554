import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseOptions } from "./options.ts";

function optionsOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const parsed = parseOptions(argv, env);
  if (parsed.type !== "options") throw new Error(JSON.stringify(parsed));
  return parsed.options;
}

describe("parseOptions", () => {
  it("has a default for everything", () => {
    expect(optionsOf([])).toEqual({
      adminListen: { host: "127.0.0.1", port: 8001, twinHost: "::1" },
      syncListen: { host: "127.0.0.1", port: 8005, twinHost: "::1" },
      storePath: join(".penstock", "control-plane", "store.db"),
      adminHosts: [],
      logLevel: "info",
      secretKeyPath: join(".penstock", "control-plane", "secret.key"),
      areSecretsInLists: false,
      ticketKeyRotationMs: 12 * 60 * 60 * 1000,
      syncIdentity: { type: "off" },
      nodeStaleAfterMs: 30_000,
      nodeForgetAfterMs: 14 * 24 * 60 * 60 * 1000,
    });
  });

  it("reads when a node is stale, and when it is forgotten", () => {
    const argv = ["--node-stale-after", "500ms", "--node-forget-after=2h"];
    expect(optionsOf(argv)).toMatchObject({ nodeStaleAfterMs: 500, nodeForgetAfterMs: 7_200_000 });
    expect(parseOptions(["--node-stale-after", "soon", "--node-forget-after", "0s"], {})).toEqual({
      type: "problems",
      lines: [
        '--node-stale-after: "soon" is not a time such as 30s, 2m, 12h or 14d',
        '--node-forget-after: "0s" is not a time such as 30s, 2m, 12h or 14d',
      ],
    });
  });

  it("looks for the secret key beside the store, unless it is told where", () => {
    expect(optionsOf(["--store", "sqlite:/a/b.db"]).secretKeyPath).toBe("/a/secret.key");
    const argv = ["--secret-key-file", "/k", "--secrets-in-lists", "--ticket-key-rotation", "168"];
    expect(optionsOf(argv)).toMatchObject({
      secretKeyPath: "/k",
      areSecretsInLists: true,
      ticketKeyRotationMs: 168 * 60 * 60 * 1000,
    });
  });

  it("takes flags before the environment, and the environment before defaults", () => {
    const env = { PENSTOCK_ADMIN_LISTEN: "127.0.0.1:1", PENSTOCK_SYNC_LISTEN: "[::1]:2", PENSTOCK_LOG_LEVEL: "" };
    expect(optionsOf(["--admin-listen=127.0.0.1:3", "--state-dir", "/s"], env)).toMatchObject({
      adminListen: { host: "127.0.0.1", port: 3 },
      syncListen: { host: "::1", port: 2 },
      storePath: join("/s", "control-plane", "store.db"),
      logLevel: "info",
    });
  });

  it("binds what is given explicitly, even the default, without a twin", () => {
    expect(optionsOf(["--admin-listen", "127.0.0.1:8001"]).adminListen).toEqual({ host: "127.0.0.1", port: 8001 });
  });

  it.each(["127.0.0.1:0", "127.8.9.1:80", "localhost:80", "[::1]:80"])(
    "takes %s for an address of this machine",
    (address) => {
      expect(optionsOf(["--sync-listen", address]).syncListen.port).toBe(Number(address.split(":").at(-1)));
    },
  );

  it("takes any address with --insecure", () => {
    const env = { PENSTOCK_INSECURE: "true", PENSTOCK_SYNC_LISTEN: "[::]:80" };
    expect(optionsOf(["--admin-listen", "0.0.0.0:80"], env)).toMatchObject({
      adminListen: { host: "0.0.0.0" },
      syncListen: { host: "::" },
    });
  });

  it("asks data planes for certificates where other machines reach the sync port, or when told to", () => {
    const certified = { type: "built_in", certificateLifeMs: 24 * 60 * 60 * 1000 };
    expect(optionsOf(["--sync-listen", "0.0.0.0:8005"]).syncIdentity).toEqual(certified);
    expect(optionsOf(["--sync-tls", "on"]).syncIdentity).toEqual(certified);
    const own = ["--sync-cert", "/c", "--sync-key", "/k", "--sync-client-ca", "/a"];
    const files = { certFile: "/c", keyFile: "/k", clientCaFile: "/a" };
    expect(optionsOf(own).syncIdentity).toEqual({ type: "own", files });
    const half = parseOptions(["--sync-cert", "/c"], {});
    expect(half.type === "problems" && half.lines).toHaveLength(2);
    const plain = ["--sync-listen", "0.0.0.0:8005", "--sync-tls", "off", "--insecure"];
    expect(optionsOf(plain).syncIdentity).toEqual({ type: "off" });
  });

  it("takes a store and further names", () => {
    expect(optionsOf(["--store", "sqlite:/a/b.db", "--admin-hosts", "Gate.example, [::2]"])).toMatchObject({
      storePath: "/a/b.db",
      adminHosts: ["gate.example", "[::2]"],
    });
  });

  it.each<[string[], NodeJS.ProcessEnv, RegExp]>([
    [["--admin-listen", "8001"], {}, /^--admin-listen: "8001" is not host:port$/],
    [["--admin-listen", "127.0.0.1:65536"], {}, /is not host:port/],
    [["--admin-listen", "::1:80"], {}, /is not host:port/],
    [["--admin-listen", "[1.2.3.4]:80"], {}, /no IPv6 address/],
    [["--admin-listen", "0.0.0.0:8001"], {}, /needs --insecure/],
    [["--sync-listen", "[::]:8005", "--sync-tls", "off"], {}, /^--sync-listen: .*needs --insecure/],
    [["--sync-listen", "[::ffff:10.0.0.1]:8005"], { PENSTOCK_SYNC_TLS: "off" }, /needs --insecure/],
    [["--sync-tls", "maybe"], {}, /^--sync-tls: "maybe" is not one of auto, on, off$/],
    [["--sync-tls=off", "--sync-cert=c", "--sync-key=k", "--sync-client-ca=a"], {}, /certificates that are given/],
    [["--node-certificate-life", "721"], {}, /^--node-certificate-life: .*from 1 to 720$/],
    [[], { PENSTOCK_ADMIN_LISTEN: "10.0.0.1:1" }, /^PENSTOCK_ADMIN_LISTEN: "10.0.0.1:1".*needs --insecure/],
    [["--admin-listen", "gate.example:1"], {}, /needs --insecure/],
    [["--admin-listen"], {}, /^--admin-listen: needs a value, HOST:PORT$/],
    [["--admin-listen", "--insecure"], {}, /^--admin-listen: needs a value/],
    [["--admin-listen="], {}, /needs a value/],
    [["--store", "postgres://u:pw@h/db"], {}, /^--store: "postgres" is not supported yet/],
    [["--store", "mysql:x"], {}, /is not sqlite:FILE/],
    [["--store", "sqlite:"], {}, /names no file/],
    [["--store", "sqlite::memory:"], {}, /names no file/],
    [["--admin-hosts", "a,b:80"], {}, /"b:80"/],
    [["--admin-hosts", "a,"], {}, /""/],
    [["--log-level", "loud"], {}, /is not one of trace, debug/],
    [["--ticket-key-rotation", "0"], {}, /is not a number of hours from 1 to 168/],
    [["--ticket-key-rotation", "169"], {}, /is not a number of hours/],
    [["--ticket-key-rotation", "1h"], {}, /is not a number of hours/],
    [["--insecure=maybe"], {}, /is not true or false/],
    [["--nope"], {}, /^unknown option "--nope"/],
    [["serve"], {}, /^unknown option "serve"/],
  ])("refuses %j with %j", (argv, env, problem) => {
    const parsed = parseOptions(argv, env);
    expect(parsed.type === "problems" && parsed.lines).toEqual([expect.stringMatching(problem)]);
  });

  it("keeps the password of a database to itself", () => {
    expect(JSON.stringify(parseOptions(["--store", "postgres://u:pw@h/db"], {}))).not.toContain("pw");
  });

  it("tells all problems at once, a line each", () => {
    const argv = ["--admin-listen", "x", "--zzz", "--log-level", "loud", "--sync-listen", "y"];
    const parsed = parseOptions(argv, { PENSTOCK_STORE: "postgresql://h" });
    expect(parsed.type === "problems" && parsed.lines.length).toBe(5);
  });

  it("lists every option with its environment name and default", () => {
    const parsed = parseOptions(["--nope", "--help"], {});
    const text = parsed.type === "help" ? parsed.text : "";
    const network = ["admin-listen", "sync-listen", "admin-hosts", "insecure"];
    const secrets = ["secret-key-file", "secrets-in-lists", "ticket-key-rotation"];
    for (const name of [...network, ...secrets, "store", "state-dir", "log-level"]) {
      expect(text).toMatch(new RegExp(`--${name}\\b`));
      const env = `PENSTOCK_${name.toUpperCase().replaceAll("-", "_")}`;
      expect(text).toMatch(new RegExp(`environment: ${env}; default: \\S+`));
    }
  });
});
