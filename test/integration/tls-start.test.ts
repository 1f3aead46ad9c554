import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { describe, expect, it } from "vitest";
import { makeCertificate } from "../support/certificates.ts";
import { runPenstock, startControlPlane, startDataPlane, temporaryFolder } from "../support/penstock-processes.ts";

const onFreePort = { PENSTOCK_PROXY_TLS_LISTEN: "127.0.0.1:0" };
const noControlPlane = "127.0.0.1:1";

/** What a data plane answers over TLS, and the certificate that it shows. */
async function ask(port: number): Promise<{ text: string; fingerprint: string }> {
  const socket: TLSSocket = connect({ port, host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false });
  socket.on("secureConnect", () => socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  let text = "";
  let fingerprint = "";
  for await (const bytes of socket) {
    fingerprint = socket.getPeerCertificate().fingerprint256 ?? fingerprint;
    text += String(bytes);
  }
  return { text, fingerprint };
}

describe("a data plane with TLS", () => {
  it.each(["worker", "main"])("serves with a certificate of its own, the same after a restart: %s", async (accept) => {
    const stateDir = temporaryFolder();
    const options = { stateDir, env: { ...onFreePort, PENSTOCK_ACCEPT: accept } };
    const first = await startDataPlane(noControlPlane, options);
    const answer = await ask(first.proxyTlsPort);
    expect(answer.text).toMatch(/^HTTP\/1\.1 503 .*no configuration has reached this node yet/s);
    const metrics = await (await fetch(`${first.statusUrl}/metrics`)).text();
    expect(metrics).toMatch(/^penstock_certificate_expires_timestamp_seconds\{id="default"\} [0-9.]+$/m);
    expect(metrics).toMatch(/^penstock_tls_handshake_duration_seconds_count\{kind="full"\} 1$/m);
    expect(await first.stop("SIGTERM")).toBe(0);
    const second = await startDataPlane(noControlPlane, options);
    expect((await ask(second.proxyTlsPort)).fingerprint).toBe(answer.fingerprint);
    const kept = readFileSync(join(stateDir, "data-plane", "default-key.pem"), "utf8");
    for (const { lines } of [first, second]) expect(lines.join("\n")).not.toContain(kept.split("\n")[1]!);
  });

  it("serves with the user's own certificate, and shares its port with the one that takes over", async () => {
    const made = await makeCertificate({ names: ["own.test"] });
    const folder = temporaryFolder();
    const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    writeFileSync(certFile, made.certPem);
    writeFileSync(keyFile, made.keyPem);
    const own = { PENSTOCK_TLS_CERTIFICATE: certFile, PENSTOCK_TLS_KEY: keyFile };
    const first = await startDataPlane(noControlPlane, { env: { ...onFreePort, ...own } });
    const shown = (await ask(first.proxyTlsPort)).fingerprint.replaceAll(":", "").toLowerCase();
    expect(shown).toBe(made.digest);
    const place = { PENSTOCK_PROXY_TLS_LISTEN: `127.0.0.1:${first.proxyTlsPort}` };
    const refused = runPenstock(["data-plane"], {
      ...place,
      PENSTOCK_STATE_DIR: temporaryFolder(),
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
    });
    expect(await refused.ended).toBe(2);
    expect(refused.lines.join("\n")).toContain(String(first.proxyTlsPort));
    // It takes connections once it has a configuration, be it an empty one.
    const { syncAddress } = await startControlPlane();
    const second = await startDataPlane(syncAddress, { env: { ...place, ...own, PENSTOCK_TAKE_OVER: "true" } });
    expect(await first.stop("SIGTERM")).toBe(0);
    expect((await ask(second.proxyTlsPort)).text).toMatch(/^HTTP\/1\.1 404 /);
  });

  it.each<{ given: Record<string, string>; says: RegExp }>([
    { given: { PENSTOCK_TLS_CERTIFICATE: "/dev/null" }, says: /--tls-certificate and --tls-key go together/ },
    {
      given: { PENSTOCK_TLS_CERTIFICATE: "/dev/null", PENSTOCK_TLS_KEY: "/dev/null" },
      says: /\/dev\/null is no certificate that can be read/,
    },
    { given: { PENSTOCK_TLS_CIPHERS: "no-such-cipher" }, says: /--tls-ciphers: / },
    { given: { PENSTOCK_PROXY_TLS_LISTEN: "on" }, says: /PENSTOCK_PROXY_TLS_LISTEN: "on" is not host:port/ },
  ])("says in one line what it cannot use: $says", async ({ given, says }) => {
    const penstock = runPenstock(["data-plane"], {
      ...onFreePort,
      PENSTOCK_STATE_DIR: temporaryFolder(),
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
      ...given,
    });
    expect(await penstock.ended).toBe(2);
    expect(penstock.lines.filter((line) => line !== "")).toHaveLength(1);
    expect(penstock.lines.join("\n")).toMatch(says);
  });
});
