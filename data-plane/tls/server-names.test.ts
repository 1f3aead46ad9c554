import { describe, expect, it } from "vitest";
import { ServerNames } from "./server-names.ts";

function names(...all: string[]): ServerNames {
  const certificates = all.map((id) => ({ id, key: id, pairs: [], clientAuthentication: null }));
  const serverNames = all.map((name, certificateIndex) => ({ name, certificateIndex }));
  return new ServerNames({ certificates, serverNames, ticketKey: null });
}

describe("ServerNames", () => {
  const all = ["a.b.test", "*.b.test", "a.b.*", "*"];

  it.each([
    { configured: all, name: "a.b.test", want: "a.b.test" },
    { configured: all.slice(1), name: "a.b.test", want: "*.b.test" },
    { configured: all.slice(2), name: "a.b.test", want: "a.b.*" },
    { configured: all.slice(3), name: "a.b.test", want: "*" },
    { configured: [], name: "a.b.test", want: null },
    { configured: [...all].reverse(), name: "x.b.test", want: "*.b.test" },
    { configured: all, name: "a.b.example", want: "a.b.*" },
  ])("takes the name, then its first label as *, then its last, then any: $name of $configured", (one) => {
    expect(names(...one.configured).pick(one.name)?.id ?? null).toBe(one.want);
  });

  it.each([
    { configured: ["*.test"], name: "a.b.test", why: "one label, not two" },
    { configured: ["*.b.test"], name: "b.test", why: "the rest is not the whole" },
    { configured: ["a.*"], name: "a.b.test", why: "one label at the end, not two" },
    { configured: ["*.b.test"], name: ".b.test", why: "an empty label" },
    { configured: ["*.b.test", "*"], name: "", why: "no name at all" },
    { configured: ["a.test"], name: "a.test.", why: "the dot is taken off by who reads it" },
  ])("gives the node's own certificate for $name: $why", ({ configured, name }) => {
    expect(names(...configured).pick(name)).toBeNull();
  });

  it("does not take a wildcard that a client sends for one that is configured", () => {
    expect(names("*.b.test").pick("*.b.test")?.id).toBe("*.b.test");
    expect(names("*.b.test").pick("*")).toBeNull();
    expect(names("a.b.test").pick("*.b.test")).toBeNull();
  });
});
