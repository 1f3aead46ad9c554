import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

let rig: RestRig;

beforeAll(async () => {
  rig = await startRestRig();
});
afterAll(() => rig.close());

const json = { "Content-Type": "application/json" };

/** Sends bytes as they are and reads until the connection is closed. */
async function sendRaw(text: string | Buffer): Promise<string> {
  const socket = connect(rig.port, "127.0.0.1");
  socket.end(text);
  return Buffer.concat(await socket.toArray()).toString();
}

describe("readBody", () => {
  it.each<{
    name: string;
    body: string | Buffer;
    headers: Record<string, string> | undefined;
    status: number;
    says: string | RegExp;
  }>([
    { name: "broken JSON", body: "{", headers: json, status: 400, says: "Cannot parse JSON body" },
    {
      name: "JSON that is not UTF-8",
      body: Buffer.from([0x22, 0xff, 0x22]),
      headers: json,
      status: 400,
      says: "Cannot parse JSON body",
    },
    { name: "a JSON array", body: "[]", headers: json, status: 400, says: "JSON body must be an object" },
    { name: "a JSON string", body: '"x"', headers: json, status: 400, says: "JSON body must be an object" },
    { name: "a JSON number", body: "5", headers: json, status: 400, says: "JSON body must be an object" },
    { name: "JSON null", body: "null", headers: json, status: 400, says: "JSON body must be an object" },
    {
      name: "deep JSON",
      body: `${'{"a":'.repeat(65)}1${"}".repeat(65)}`,
      headers: json,
      status: 400,
      says: "JSON body nests deeper than 64",
    },
    {
      name: "plain text",
      body: "host=h",
      headers: { "Content-Type": "text/plain" },
      status: 415,
      says: /^Content-Type must be/,
    },
    {
      name: "XML",
      body: "<a/>",
      headers: { "Content-Type": "application/xml" },
      status: 415,
      says: /^Content-Type must be/,
    },
    {
      name: "multipart",
      body: "--B--",
      headers: { "Content-Type": "multipart/form-data; boundary=B" },
      status: 415,
      says: /^Content-Type must be/,
    },
    { name: "a body without content type", body: "host=h", headers: {}, status: 415, says: "Content-Type is missing" },
    {
      name: "a compressed body",
      body: "host=h",
      headers: { ...json, "Content-Encoding": "gzip" },
      status: 415,
      says: "Content-Encoding 'gzip' is not supported",
    },
    {
      name: "a form with a broken escape",
      body: "name=%zz",
      headers: undefined,
      status: 400,
      says: /^Cannot parse form body: malformed percent-encoding/,
    },
    {
      name: "a form with an open bracket",
      body: "a[=1",
      headers: undefined,
      status: 400,
      says: /^Cannot parse form body: malformed key 'a\['/,
    },
    {
      name: "a form with conflicting keys",
      body: "a=1&a.b=2",
      headers: undefined,
      status: 400,
      says: /^Cannot parse form body: conflicting values for 'a'/,
    },
    {
      name: "a form that is not UTF-8",
      body: Buffer.from([0x61, 0x3d, 0xff]),
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      status: 400,
      says: "Cannot parse form body: not valid UTF-8",
    },
    {
      name: "too many arguments",
      body: "a=1&".repeat(1001),
      headers: undefined,
      status: 400,
      says: "Too many arguments",
    },
  ])("refuses $name", async ({ body, headers, status, says }) => {
    const reply = await rig.send("POST", "/services", body, headers);
    expect(reply.json).toEqual({ message: expect.stringMatching(says) });
    expect(reply.status).toBe(status);
  });

  it.each([
    {
      name: "JSON with a charset",
      headers: { "Content-Type": "Application/JSON; charset=utf-8" },
      body: '{"host":"h.test"}',
    },
    { name: "JSON with a byte order mark", headers: json, body: '\ufeff{"host":"h.test"}' },
    {
      name: "a form with a charset",
      headers: { "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8" },
      body: "host=h.test",
    },
  ])("takes $name", async ({ headers, body }) => {
    const reply = await rig.send("POST", "/services", body, headers);
    expect(reply.json).toMatchObject({ host: "h.test" });
    expect((await rig.send("DELETE", `/services/${reply.json.id}`)).status).toBe(204);
  });

  it("needs no content type for no body", async () => {
    expect((await rig.send("POST", "/upstreams")).json.fields).toEqual({ name: "required field missing" });
    const chunked = await sendRaw(
      "POST /upstreams HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    expect(chunked).toMatch(/^HTTP\/1\.1 400 .*"name: required field missing|required field missing/s);
  });

  it("refuses two content types", async () => {
    const text = await sendRaw(
      "POST /services HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
    );
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain("More than one Content-Type header");
  });

  it("refuses a body of 11 MB after reading it, and serves the next request on the same connection", async () => {
    const length = 11 * 1024 * 1024;
    const head = `POST /services HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
    const next = "GET /services/nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const text = await sendRaw(Buffer.concat([Buffer.from(head), Buffer.alloc(length, " "), Buffer.from(next)]));
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(text).toContain('{"message":"Request body is larger than 10485760 bytes"}');
    expect(text).toContain("HTTP/1.1 404 ");
  });

  it("gives up a connection whose body goes on and on", async () => {
    const small = await startRestRig({ bodyLimits: { bodyMaxBytes: 10, discardMaxBytes: 20, jsonMaxDepth: 1 } });
    try {
      const socket = connect(small.port, "127.0.0.1");
      socket.write(`POST /services HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n${"x".repeat(30)}`);
      const text = Buffer.concat(await socket.toArray()).toString();
      expect(text).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n/s);
    } finally {
      await small.close();
    }
  });

  it("survives a client that leaves in the middle of its body, or before its answer", async () => {
    const socket = connect(rig.port, "127.0.0.1");
    socket.write(
      "POST /services HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    );
    await once(socket, "ready");
    socket.destroy();
    const impatient = connect(rig.port, "127.0.0.1", () => {
      impatient.write("GET /services HTTP/1.1\r\nHost: x\r\n\r\n");
      impatient.resetAndDestroy();
    });
    await once(impatient, "close");
    expect((await rig.send("GET", "/services")).status).toBe(200);
  });
});
