import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formToJson } from "./form-to-json.ts";
import { kongShapes } from "./kong-shape.ts";
import { parseForm } from "./parse-form.ts";

/** What a form says, typed as the kind's fields, as plain JSON. */
function read(kind: keyof typeof kongShapes, text: string): unknown {
  const form = parseForm(text);
  if (!form.ok) return form.message;
  return JSON.parse(JSON.stringify(formToJson(form.root, kongShapes[kind])));
}

describe("parseForm", () => {
  it.each([
    { name: "reads plain values", text: "name=a&host=b.test", want: { name: "a", host: "b.test" } },
    { name: "reads percent-encoding and plus", text: "name=%E5%86%86+x%2By", want: { name: "円 x+y" } },
    { name: "takes raw UTF-8", text: "name=円", want: { name: "円" } },
    { name: "reads numbers where the field has one", text: "port=80&name=80", want: { port: 80, name: "80" } },
    { name: "leaves what is no number as text", text: "port=abc&retries=0x10", want: { port: "abc", retries: "0x10" } },
    {
      name: "reads booleans where the field has one",
      text: "enabled=true&name=true",
      want: { enabled: true, name: "true" },
    },
    { name: "leaves what is no boolean as text", text: "enabled=yes", want: { enabled: "yes" } },
    { name: "reads an empty value as null", text: "path=&retries=", want: { path: null, retries: null } },
    { name: "appends with brackets", text: "tags[]=a&tags[]=b", want: { tags: ["a", "b"] } },
    { name: "takes encoded brackets", text: "tags%5B%5D=a", want: { tags: ["a"] } },
    { name: "places by index from 1", text: "tags[2]=b&tags[1]=a", want: { tags: ["a", "b"] } },
    { name: "makes a list of repeated values", text: "tags=a&tags=b", want: { tags: ["a", "b"] } },
    { name: "makes a list of one value of a list field", text: "tags=a", want: { tags: ["a"] } },
    { name: "reads an empty list as null", text: "tags=", want: { tags: null } },
    {
      name: "keeps a repeated value of a single field for the field's own check",
      text: "name=a&name=b",
      want: { name: ["a", "b"] },
    },
    { name: "keeps a comma in a value", text: "tags=p,q", want: { tags: ["p,q"] } },
    { name: "keeps unknown fields as texts", text: "zz=1", want: { zz: "1" } },
    { name: "ignores empty pairs", text: "&name=a&&", want: { name: "a" } },
    { name: "reads nothing from nothing", text: "", want: {} },
    { name: "keeps an equals sign in a value", text: "name=a=b", want: { name: "a=b" } },
  ])("$name", ({ text, want }) => {
    expect(read("service", text)).toEqual(want);
  });

  it.each([
    {
      name: "nests records by dots",
      kind: "upstream" as const,
      text: "healthchecks.active.healthy.interval=5&healthchecks.active.http_path=/h",
      want: { healthchecks: { active: { healthy: { interval: 5 }, http_path: "/h" } } },
    },
    {
      name: "nests records by brackets",
      kind: "upstream" as const,
      text: "healthchecks[active][timeout]=2.5",
      want: { healthchecks: { active: { timeout: 2.5 } } },
    },
    {
      name: "reads lists of numbers inside records",
      kind: "upstream" as const,
      text: "healthchecks.active.healthy.http_statuses[]=200&healthchecks.active.healthy.http_statuses[]=201",
      want: { healthchecks: { active: { healthy: { http_statuses: [200, 201] } } } },
    },
    {
      name: "reads our own finer interval as a number",
      kind: "upstream" as const,
      text: "healthchecks.active.healthy.interval_ms=500",
      want: { healthchecks: { active: { healthy: { interval_ms: 500 } } } },
    },
    {
      name: "reads a reference",
      kind: "route" as const,
      text: "service.id=x&paths=/a",
      want: { service: { id: "x" }, paths: ["/a"] },
    },
    {
      name: "reads header maps by dots and by brackets",
      kind: "route" as const,
      text: "headers.x-a=1&headers[x-b][]=2&headers[x-b][]=3",
      want: { headers: { "x-a": ["1"], "x-b": ["2", "3"] } },
    },
    {
      name: "reads lists of records by index",
      kind: "route" as const,
      text: "sources[1].ip=10.0.0.1&sources[1].port=80&sources[2].port=81",
      want: { sources: [{ ip: "10.0.0.1", port: 80 }, { port: 81 }] },
    },
  ])("$name", ({ kind, text, want }) => {
    expect(read(kind, text)).toEqual(want);
  });

  it.each([
    { text: "name=%zz", says: "malformed percent-encoding in 'name=%zz'" },
    { text: "name=%ff", says: "malformed percent-encoding" },
    { text: "tags[=a", says: "malformed key 'tags['" },
    { text: "tags[1=a", says: "malformed key" },
    { text: "tags]=a", says: "malformed key" },
    { text: "a..b=1", says: "malformed key 'a..b'" },
    { text: ".a=1", says: "malformed key" },
    { text: "a.=1", says: "malformed key" },
    { text: "[a]=1", says: "malformed key" },
    { text: "=1", says: "malformed key ''" },
    { text: "a[]b=1", says: "malformed key" },
    { text: "a[].b=1", says: "malformed key" },
    { text: "name", says: "'name' has no value" },
    { text: "a=1&a.b=2", says: "conflicting values for 'a'" },
    { text: "a.b=1&a[1]=2", says: "conflicting values for 'a'" },
    { text: "a[]=1&a[1]=2", says: "conflicting values for 'a'" },
    { text: "a[1]=1&a[1]=2", says: "conflicting values for 'a[1]'" },
    { text: "a[0]=1", says: "'a[1]' is missing" },
    { text: "a[1]=1&a[4294967295]=2", says: "'a[2]' is missing" },
    { text: `${"a.".repeat(20)}a=1`, says: "malformed key" },
  ])("refuses $text", ({ text, says }) => {
    expect(read("service", text)).toEqual(expect.stringContaining(`Cannot parse form body: ${says}`));
  });

  it("takes 1000 pairs and refuses more", () => {
    const pairs = (count: number) => Array.from({ length: count }, (_, i) => `k${i}=v`).join("&");
    expect(parseForm(pairs(1000)).ok).toBe(true);
    expect(parseForm(pairs(1001))).toEqual({ ok: false, message: "Too many arguments" });
  });

  it("treats __proto__ as a key like any other", () => {
    const form = parseForm("__proto__.polluted=1&constructor.prototype.polluted=1&a[__proto__]=1");
    if (!form.ok) throw new Error(form.message);
    const json = formToJson(form.root, kongShapes.service);
    expect(Object.keys(json)).toEqual(["__proto__", "constructor", "a"]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("reads back whatever pairs a client encodes", () => {
    const key = fc.stringMatching(/^[a-z_]{1,8}$/);
    fc.assert(
      fc.property(
        fc.dictionary(key, fc.string({ unit: "grapheme", minLength: 1 }), { noNullPrototype: true }),
        (fields) => {
          const form = parseForm(new URLSearchParams(fields).toString());
          if (!form.ok) throw new Error(form.message);
          const values = [...form.root.fields].map(([name, node]) => [name, node.values]);
          expect(values).toEqual(Object.entries(fields).map(([name, value]) => [name, [value]]));
        },
      ),
    );
  });

  it("never throws", () => {
    const piece = fc.constantFrom("a", "b", ".", "[", "]", "1", "=", "&", "%", "%5B", "%zz", "__proto__");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const form = parseForm(pieces.join(""));
        if (form.ok) formToJson(form.root, kongShapes.route);
      }),
    );
  });
});
