import { describe, expect, it } from "vitest";
import type { Problem } from "../../resource/checked.ts";
import { patchedNotFoundAnswer, problemAnswer } from "./problem-answer.ts";
import { violationFields, violationMessage } from "./violation-fields.ts";

const invalid = (field: string, message: string): Problem => ({ code: "invalid", field, message });
/** Without the missing prototypes, as a client sees it. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe("violationFields", () => {
  it.each([
    { name: "names a field", problems: [invalid("port", "m")], want: { port: "m" } },
    { name: "nests records", problems: [invalid("service.id", "m")], want: { service: { id: "m" } } },
    { name: "lists items by position", problems: [invalid("tags.2", "m")], want: { tags: [null, null, "m"] } },
    {
      name: "lists items of headers",
      problems: [invalid("headers.x-a.1", "m")],
      want: { headers: { "x-a": [null, "m"] } },
    },
    { name: "nests records in lists", problems: [invalid("sources.0.ip", "m")], want: { sources: [{ ip: "m" }] } },
    {
      name: "gathers what is wrong with the whole",
      problems: [invalid("", "b"), invalid("", "a")],
      want: { "@entity": ["b", "a"] },
    },
    {
      name: "keeps two problems of a field",
      problems: [invalid("port", "a"), invalid("port", "b")],
      want: { port: "a; b" },
    },
    {
      name: "keeps a problem of a record beside those in it",
      problems: [invalid("service", "a"), invalid("service.id", "b")],
      want: { service: { "@entity": ["a"], id: "b" } },
    },
    { name: "takes no client's key for a position", problems: [invalid("99999999", "m")], want: { "99999999": "m" } },
  ])("$name", ({ problems, want }) => {
    expect(plain(violationFields("route", problems))).toEqual(want);
  });

  it("prints a field of the name __proto__", () => {
    const text = JSON.stringify(violationFields("route", [invalid("__proto__.a", "unknown field")]));
    expect(text).toBe('{"__proto__":{"a":"unknown field"}}');
  });
});

describe("violationMessage", () => {
  it.each([
    { problems: [invalid("port", "m")], want: "schema violation (port: m)" },
    { problems: [invalid("tags.0", "m")], want: "schema violation (tags.1: m)" },
    { problems: [invalid("", "m")], want: "schema violation (m)" },
    { problems: [invalid("b", "2"), invalid("", "z"), invalid("a", "1")], want: "3 schema violations (z; a: 1; b: 2)" },
    { problems: [invalid("zz.0", "unknown field")], want: "schema violation (zz.0: unknown field)" },
  ])("says $want", ({ problems, want }) => {
    expect(violationMessage("route", problems)).toBe(want);
  });
});

describe("problemAnswer", () => {
  const id = "11111111-1111-4111-8111-111111111111";

  it.each<{ name: string; problem: Problem; status: number; want: object }>([
    {
      name: "a schema violation",
      problem: invalid("port", "m"),
      status: 400,
      want: { code: 2, name: "schema violation", message: "schema violation (port: m)", fields: { port: "m" } },
    },
    {
      name: "an absent resource",
      problem: { code: "not_found", field: "", message: "Not found" },
      status: 404,
      want: { message: "Not found" },
    },
    {
      name: "a taken id",
      problem: { code: "duplicate_id", field: "id", message: "primary key violation on key '{id=\"i\"}'" },
      status: 400,
      want: {
        code: 3,
        name: "primary key violation",
        message: "primary key violation on key '{id=\"i\"}'",
        fields: { id: "i" },
      },
    },
    {
      name: "a taken name",
      problem: { code: "duplicate_key", field: "name", message: "UNIQUE violation detected on '{name=\"n\"}'" },
      status: 409,
      want: {
        code: 5,
        name: "unique constraint violation",
        message: "UNIQUE violation detected on '{name=\"n\"}'",
        fields: { name: "n" },
      },
    },
    {
      name: "a dangling reference",
      problem: { code: "dangling_reference", field: "service", message: "m", resource: { kind: "service", id } },
      status: 400,
      want: { code: 4, name: "foreign key violation", message: "m", fields: { service: { id } } },
    },
    {
      name: "an unresolved name",
      problem: { code: "unresolved_reference", field: "service.name", message: "m" },
      status: 400,
      want: {
        code: 13,
        name: "foreign keys unresolved",
        message: "foreign key unresolved (service.name: m)",
        fields: { service: { name: "m" } },
      },
    },
    {
      name: "a resource in use",
      problem: { code: "still_referenced", field: "", message: "m", resource: { kind: "route", id } },
      status: 400,
      want: {
        code: 4,
        name: "foreign key violation",
        message: "m",
        fields: { "@referenced_by": "routes" },
      },
    },
    {
      name: "a bad page token",
      problem: {
        code: "invalid_page_token",
        field: "page_token",
        message: "'x' is not a valid offset: bad base64 encoding",
      },
      status: 400,
      want: { code: 7, name: "invalid offset", message: "'x' is not a valid offset: bad base64 encoding" },
    },
    {
      name: "a changed resource",
      problem: { code: "stale_etag", field: "etag", message: "changed" },
      status: 412,
      want: { message: "changed" },
    },
    {
      name: "a store that takes no writes",
      problem: { code: "unavailable", field: "", message: "disk full" },
      status: 503,
      want: { message: "disk full" },
    },
  ])("answers $name", ({ problem, status, want }) => {
    const answer = problemAnswer("route", [problem], { id: "i", name: "n" });
    expect(answer.status).toBe(status);
    expect(plain(answer.body)).toEqual(want);
  });

  it("tells what a taken address is, and of which upstream", () => {
    const problem: Problem = { code: "duplicate_key", field: "target", message: "m" };
    const answer = problemAnswer("target", [problem], { target: "a:80", upstream: { id }, weight: 1 });
    expect(plain(answer.body)).toMatchObject({ code: 5, fields: { target: "a:80", upstream: { id } } });
  });

  it("tells everything that is wrong with fields by one schema violation", () => {
    const dangling: Problem = {
      code: "dangling_reference",
      field: "service",
      message: "gone",
      resource: { kind: "service", id },
    };
    const answer = problemAnswer("route", [dangling, invalid("paths.0", "bad")]);
    expect(plain(answer.body)).toMatchObject({
      code: 2,
      message: "2 schema violations (paths.1: bad; service: gone)",
      fields: { service: "gone", paths: ["bad"] },
    });
  });
});

describe("patchedNotFoundAnswer", () => {
  it("names the id or the name that was not found", () => {
    const id = "11111111-1111-4111-8111-111111111111";
    expect(patchedNotFoundAnswer(id).body).toMatchObject({ code: 6, name: "not found", fields: { id } });
    expect(patchedNotFoundAnswer("n").body).toMatchObject({
      message: "could not find the entity with '{name=\"n\"}'",
      fields: { name: "n" },
    });
  });
});
