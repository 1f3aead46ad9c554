import { describe, expect, it } from "vitest";
import { decodeResource } from "./decode-resource.ts";
import { printResource } from "./print-resource.ts";

describe("expandServiceUrl", () => {
  const expand = (url: unknown, rest: object = {}) => {
    const { message, problems } = decodeResource("service", { ...rest, url });
    const { protocol, host, port, path } = printResource("service", message);
    return problems?.length
      ? problems.map(({ field, message: text }) => `${field}: ${text}`)
      : { protocol, host, port, path };
  };

  it.each([
    { url: "http://h.test", want: { protocol: "http", host: "h.test", port: 80, path: null } },
    { url: "http://h.test/", want: { protocol: "http", host: "h.test", port: 80, path: "/" } },
    { url: "https://h.test:8443/base?x=1#y", want: { protocol: "https", host: "h.test", port: 8443, path: "/base" } },
    { url: "HTTPS://h.test", want: { protocol: "https", host: "h.test", port: 443, path: null } },
    { url: "http://[::1]:81/a", want: { protocol: "http", host: "::1", port: 81, path: "/a" } },
    { url: "grpc://h.test", want: { protocol: "grpc", host: "h.test", port: 80, path: null } },
    { url: "http://h.test?x", want: { protocol: "http", host: "h.test", port: 80, path: null } },
  ])("splits $url", ({ url, want }) => {
    expect(expand(url)).toEqual(want);
  });

  it.each([
    { url: "ftp://h/", want: ["protocol: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp"] },
    { url: "h.test", want: ["url: should be protocol://host, with :port and /path where needed"] },
    { url: "http://", want: ["url: should be protocol://host, with :port and /path where needed"] },
    { url: "http://:80", want: ["url: should be protocol://host, with :port and /path where needed"] },
    { url: "http://h:abc/", want: ["port: expected an integer"] },
    { url: "http://u:p@h/", want: ["url: must not have a user name"] },
    { url: 5, want: ["url: expected a string"] },
  ])("refuses $url", ({ url, want }) => {
    expect(expand(url)).toEqual(want);
  });

  it("wins over the fields that it stands for", () => {
    const rest = { host: "other", port: 1, path: "/other", protocol: "tcp" };
    expect(expand("http://h.test", rest)).toEqual({ protocol: "http", host: "h.test", port: 80, path: null });
  });

  it("says nothing when it is null", () => {
    expect(decodeResource("service", { url: null, host: "h" }).paths).toEqual(["host"]);
  });

  it("is a field of services only", () => {
    expect(decodeResource("route", { url: "http://h" }).problems).toMatchObject([
      { field: "url", message: "unknown field" },
    ]);
  });
});
