import { describe, expect, it } from "vitest";
import { type Caller, checkCaller } from "./check-caller.ts";

const allowed = new Set(["localhost", "127.0.0.1", "[::1]", "admin.example"]);

function caller(given: Partial<Caller>): Caller {
  return { method: "POST", authorities: ["localhost:8001"], origin: undefined, fetchSite: undefined, ...given };
}

describe("checkCaller", () => {
  it.each<[string, Partial<Caller>]>([
    ["curl", {}],
    ["curl by address", { authorities: ["127.0.0.1:8001"] }],
    ["curl by IPv6 address", { authorities: ["[::1]:8001"] }],
    ["curl without port", { authorities: ["localhost"] }],
    ["curl in capitals", { authorities: ["LocalHost:8001"] }],
    ["a configured name", { authorities: ["admin.example:443"] }],
    ["HTTP/2 with both", { authorities: ["localhost:8001", "localhost:8001"] }],
    ["a read from another origin", { method: "GET", origin: "http://evil.example", fetchSite: "cross-site" }],
    ["a preflight from another origin", { method: "OPTIONS", origin: "http://evil.example", fetchSite: "cross-site" }],
    ["a write from our own page", { origin: "http://localhost:8001", fetchSite: "same-origin" }],
    ["a write from our own page behind TLS", { authorities: ["admin.example"], origin: "https://admin.example" }],
    ["a write that the user typed", { fetchSite: "none" }],
  ])("lets %s pass", (_name, given) => {
    expect(checkCaller(caller(given), allowed)).toBeNull();
  });

  it.each<[string, Partial<Caller>, RegExp]>([
    ["a rebound name", { method: "GET", authorities: ["evil.example:8001"] }, /Host "evil.example:8001"/],
    ["a rebound name that ends like ours", { authorities: ["evil-localhost:8001"] }, /Host/],
    ["a rebound name that begins like ours", { authorities: ["localhost.evil.example"] }, /Host/],
    ["a user name before the host", { authorities: ["localhost@evil.example"] }, /Host/],
    ["a foreign host beside ours", { authorities: ["localhost:8001", "evil.example"] }, /Host/],
    ["an address that is not ours", { authorities: ["192.0.2.1:8001"] }, /Host/],
    ["an empty host", { authorities: [""] }, /Host/],
    ["no host", { authorities: [] }, /no Host/],
    ["a form post from another site", { origin: "http://evil.example", fetchSite: "cross-site" }, /origin/],
    ["a post from another port of this machine", { origin: "http://localhost:3000", fetchSite: "same-site" }, /origin/],
    ["a post from a file or a sandbox", { origin: "null" }, /origin "null"/],
    ["a delete by an old browser", { method: "DELETE", origin: "http://evil.example" }, /origin/],
    ["a post without Origin from another site", { fetchSite: "cross-site" }, /another site/],
    ["a post without Origin from the same site", { fetchSite: "same-site" }, /another site/],
    ["a site that is not known", { fetchSite: "future" }, /another site/],
    ["two origins", { origin: "http://localhost:8001, http://evil.example" }, /origin/],
    ["another scheme", { origin: "file://localhost:8001" }, /origin/],
    ["a method that is not known", { method: "PURGE", origin: "http://evil.example" }, /origin/],
  ])("refuses %s", (_name, given, reason) => {
    expect(checkCaller(caller(given), allowed)).toMatch(reason);
  });
});
