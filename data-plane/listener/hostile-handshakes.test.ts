import { once } from "node:events";
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { SeededRandom } from "../../test/fuzz/seeded-random.ts";
import { answerText, get, openBackend, type Rig, until } from "./proxy-server.test-rig.ts";
import { certificateConfig, openTlsRig, serverCertificate, TlsClient, tlsConfig } from "./tls-server.test-rig.ts";
import { authority } from "./tls-settings.test-rig.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function openRig(settings: Parameters<typeof openTlsRig>[1] = {}): Promise<Rig> {
  const target = await openBackend((_, socket) => void socket.write(answerText("ok")));
  const tls = tlsConfig({ "a.test": certificateConfig("1", await serverCertificate("a.test")) });
  const rig = await openTlsRig({ ports: [target.port], tls }, settings);
  opened.push(target, rig);
  return rig;
}

/** A socket to the TLS port and all that it gets, once it is closed. */
function rawClient(rig: Rig): { socket: Socket; received: Promise<Buffer> } {
  const socket = connectPlain({ port: rig.server.tlsPort!, host: "127.0.0.1", noDelay: true });
  const pieces: Buffer[] = [];
  socket.on("error", () => {});
  socket.on("data", (bytes) => pieces.push(bytes));
  opened.push({ close: () => socket.destroy() });
  return { socket, received: once(socket, "close").then(() => Buffer.concat(pieces)) };
}

/** What is sent through goes piece by piece: a TLS client whose bytes a test can touch. */
async function openRelay(rig: Rig, onUp: (bytes: Buffer, up: Socket, down: Socket) => void) {
  const server = createServer({ noDelay: true }, (down) => {
    const up = connectPlain({ port: rig.server.tlsPort!, host: "127.0.0.1", noDelay: true });
    for (const socket of [up, down]) socket.on("error", () => {});
    down.on("data", (bytes) => onUp(bytes, up, down));
    up.on("data", (bytes) => void down.write(bytes));
    up.on("close", () => down.destroy());
    down.on("close", () => up.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({ close: () => server.close() });
  return (server.address() as AddressInfo).port;
}

async function stillServes(rig: Rig): Promise<void> {
  const client = await TlsClient.open(rig, { servername: "a.test" });
  expect((await client.send(get("/")).answer()).body).toBe("ok");
  client.close();
  await until(() => rig.counter("connections_active") === 0 && rig.counter("handshakes_active") === 0);
  expect(rig.defects).toEqual([]);
}

function failuresOf(rig: Rig): Record<string, number> {
  const { labels, cells } = rig.server.engine.traffic.read().handshakeFailures;
  return Object.fromEntries(labels.map((label, i) => [label, cells[i]!] as const).filter(([, count]) => count > 0));
}

/** A real hello, taken off the wire. */
async function helloBytes(): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = connectTls({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", servername: "a.test" });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  server.close();
  return bytes;
}

const alert = (code: number) => Buffer.from([0x15, 3, 1, 0, 2, 2, code]);

describe("handshakes that are hostile", () => {
  it("may come byte by byte", async () => {
    const rig = await openRig();
    const port = await openRelay(rig, (bytes, up) => {
      for (let at = 0; at < bytes.length; at++) up.write(bytes.subarray(at, at + 1));
    });
    const client = await TlsClient.open(rig, { servername: "a.test", port });
    expect((await client.send(get("/")).answer()).body).toBe("ok");
    client.close();
    await stillServes(rig);
  });

  it.each([
    ["random bytes", Buffer.from([0x80, 0x2e, 1, 3, 1, 0, 0x15]), alert(10), "not_tls"],
    ["a record that is no handshake", Buffer.from([0x17, 3, 3, 0, 1, 0]), alert(10), "not_tls"],
    ["a hello that is too large", Buffer.from([0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff]), alert(50), "too_large"],
    ["a hello that is broken", Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]), alert(50), "malformed"],
    ["an empty record", Buffer.from([0x16, 3, 1, 0, 0]), alert(50), "malformed"],
  ])("get an alert and the end: %s", async (_, sent, want, reason) => {
    const rig = await openRig();
    const { socket, received } = rawClient(rig);
    socket.write(sent);
    expect(await received).toEqual(want);
    await until(() => rig.counter("connections_active") === 0);
    expect(failuresOf(rig)).toEqual({ [reason]: 1 });
    await stillServes(rig);
  });

  it("have so much time, from the opening on", async () => {
    const rig = await openRig({ handshakeTimeoutMs: 100 });
    const hello = await helloBytes();
    for (const sent of [Buffer.alloc(0), hello.subarray(0, 60), hello]) {
      const { socket, received } = rawClient(rig);
      if (sent.length > 0) socket.write(sent);
      await received;
    }
    expect(failuresOf(rig)).toEqual({ timeout: 3 });
    expect(rig.counter("limit_handshake_time")).toBe(3);
    await stillServes(rig);
    expect(failuresOf(rig)).toEqual({ timeout: 3 });
  });

  it("may be so many at once, in a worker", async () => {
    const rig = await openRig({ handshakesMax: 3 });
    const waiting = [rawClient(rig), rawClient(rig), rawClient(rig)];
    await until(() => rig.counter("handshakes_active") === 3);
    expect(await rawClient(rig).received).toEqual(Buffer.alloc(0));
    expect(rig.counter("limit_handshakes")).toBe(1);
    for (const { socket } of waiting) socket.destroy();
    await until(() => rig.counter("handshakes_active") === 0);
    expect(failuresOf(rig)).toEqual({ closed: 3, limit: 1 });
    await stillServes(rig);
  });

  it.each(["destroy", "resetAndDestroy", "end"] as const)("may end at any moment: %s", async (how) => {
    const rig = await openRig();
    const hello = await helloBytes();
    for (const sent of [0, 1, 5, 100, hello.length]) {
      const { socket } = rawClient(rig);
      await once(socket, "connect");
      if (sent > 0) await new Promise((resolve) => socket.write(hello.subarray(0, sent), resolve));
      if (sent === hello.length) await once(socket, "data");
      socket[how]();
    }
    await until(() => rig.counter("connections_accepted") === 5 && rig.counter("connections_active") === 0);
    const failed = Object.values(failuresOf(rig)).reduce((sum, count) => sum + count, 0);
    expect(failed).toBe(5);
    await stillServes(rig);
  });

  it("may go on with garbage: in the midst, and once they are done", async () => {
    const rig = await openRig();
    for (const afterBytes of [600, 3_000]) {
      let passed = 0;
      const port = await openRelay(rig, (bytes, up) => {
        passed += bytes.length;
        up.write(passed > afterBytes ? Buffer.alloc(bytes.length, 0x17) : bytes);
      });
      const client = connectTls({ port, host: "127.0.0.1", servername: "a.test", ca: authority.certPem });
      client.on("error", () => {});
      client.on("data", () => {});
      client.on("secureConnect", () => client.write("x".repeat(5_000)));
      await new Promise((resolve) => client.on("close", resolve));
    }
    await stillServes(rig);
  });

  it("may break a record of a connection that is in use: it is closed", async () => {
    const rig = await openRig();
    let isBroken = false;
    const port = await openRelay(rig, (bytes, up) => {
      const sent = Buffer.from(bytes);
      if (isBroken) sent[sent.length - 1]! ^= 1;
      up.write(sent);
    });
    const client = await TlsClient.open(rig, { servername: "a.test", port });
    expect((await client.send(get("/")).answer()).body).toBe("ok");
    isBroken = true;
    client.send(get("/"));
    expect(await client.closed()).toMatch(/BAD_RECORD_MAC|end|ECONNRESET/);
    await stillServes(rig);
  });

  it("cannot be begun anew", async () => {
    const rig = await openRig();
    const client = await TlsClient.open(rig, { servername: "a.test", maxVersion: "TLSv1.2" });
    const outcome = new Promise<string>((resolve) => {
      client.socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      client.socket.on("close", () => resolve("closed"));
      client.socket.renegotiate({}, (error) => resolve(error === null ? "renegotiated" : String(error)));
    });
    expect(await outcome).not.toBe("renegotiated");
    client.close();
    await stillServes(rig);
  });

  it("change in any way, and no worker minds", { timeout: 120_000 }, async () => {
    const rig = await openRig({ handshakeTimeoutMs: 300 });
    const hello = await helloBytes();
    const random = new SeededRandom(Number(process.env["PENSTOCK_FUZZ_SEED"] ?? Date.now() % 1_000_000));
    const mutants = Array.from({ length: 400 }, () => {
      const bytes = Buffer.from(hello);
      for (let i = random.below(8); i >= 0; i--) bytes[random.below(bytes.length)] = random.below(256);
      return random.below(4) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
    });
    for (let at = 0; at < mutants.length; at += 50) {
      await Promise.all(
        mutants.slice(at, at + 50).map(async (bytes) => {
          const { socket, received } = rawClient(rig);
          socket.write(bytes);
          await received;
        }),
      );
    }
    await until(() => rig.counter("connections_active") === 0);
    await stillServes(rig);
  });
});

describe("an end of TLS", () => {
  it("is told before the connection's, also by clients that still read", async () => {
    const rig = await openRig();
    const client = await TlsClient.open(rig, { servername: "a.test" });
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    expect((await client.answer()).body).toBe("ok");
    expect(await client.closed()).toBe("end");
    const halfClosed = connectTls({
      port: rig.server.tlsPort!,
      host: "127.0.0.1",
      servername: "a.test",
      ca: authority.certPem,
      allowHalfOpen: true,
    } as ConnectionOptions);
    opened.push({ close: () => halfClosed.destroy() });
    await once(halfClosed, "secureConnect");
    halfClosed.end(get("/"));
    const pieces: Buffer[] = [];
    halfClosed.on("data", (bytes: Buffer) => pieces.push(bytes));
    await once(halfClosed, "end");
    expect(Buffer.concat(pieces).toString()).toMatch(/^HTTP\/1\.1 200 OK.*ok$/s);
    await stillServes(rig);
  });
});
