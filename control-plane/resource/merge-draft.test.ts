import { create, equals } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { type Upstream, UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { mergeDraft } from "./merge-draft.ts";
import { leafFields } from "./message-fields.ts";
import { upstreamRules } from "./upstream.ts";

describe("mergeDraft", () => {
  it("sets the named paths and leaves the rest, deep in records", () => {
    const message = create(UpstreamSchema, { healthchecks: { active: { unhealthy: { httpFailures: 5 } } } });
    const merged = mergeDraft(UpstreamSchema, upstreamRules.defaults, {
      message,
      paths: ["healthchecks.active.unhealthy.http_failures"],
    });
    const unhealthy = merged.message.healthchecks?.active?.unhealthy;
    expect(unhealthy?.httpFailures).toBe(5);
    expect(unhealthy?.httpStatuses).toEqual([429, 404, 500, 501, 502, 503, 504, 505]);
    expect(upstreamRules.defaults.healthchecks?.active?.unhealthy?.httpFailures).toBe(0);
  });

  it("changes neither the base nor the draft, and shares with the base what no path names", () => {
    const base = create(UpstreamSchema, { healthchecks: { active: { concurrency: 1 }, passive: {} }, tags: ["a"] });
    const message = create(UpstreamSchema, { healthchecks: { active: { concurrency: 2, timeout: { seconds: 3n } } } });
    const before = [structuredClone(base), structuredClone(message)];
    const paths = ["healthchecks.active", "healthchecks.active.concurrency", "healthchecks.active.timeout", "slots"];
    const merged = mergeDraft(UpstreamSchema, base, { message, paths }).message;
    expect([base, message]).toEqual(before);
    expect(merged.healthchecks?.active).toEqual(message.healthchecks?.active);
    expect(merged.healthchecks?.passive).toBe(base.healthchecks?.passive);
    expect(merged.tags).toBe(base.tags);
  });

  it("clears a path that the message does not have", () => {
    const base = create(ServiceSchema, {
      host: "h",
      path: "/p",
      retries: 5,
      tags: ["a"],
      connectTimeout: { seconds: 1n },
    });
    const { message } = mergeDraft(ServiceSchema, base, {
      message: create(ServiceSchema),
      paths: ["host", "path", "retries", "tags", "connect_timeout"],
    });
    expect(message).toEqual(create(ServiceSchema));
  });

  it("replaces lists and maps as a whole", () => {
    const base = create(RouteSchema, { paths: ["/a", "/b"], headers: { a: { values: ["1"] } } });
    const draft = create(RouteSchema, { paths: ["/c"], headers: { b: { values: ["2"] } } });
    const { message } = mergeDraft(RouteSchema, base, { message: draft, paths: ["paths", "headers"] });
    expect(message.paths).toEqual(["/c"]);
    expect(Object.keys(message.headers)).toEqual(["b"]);
  });

  it("replaces a record that is named itself, and clears it where it is absent", () => {
    const draft = create(UpstreamSchema, { healthchecks: { threshold: 50 } });
    const replaced = mergeDraft(UpstreamSchema, upstreamRules.defaults, { message: draft, paths: ["healthchecks"] });
    expect(replaced.message.healthchecks).toMatchObject({ threshold: 50 });
    expect(replaced.message.healthchecks?.active).toBeUndefined();
    const cleared = mergeDraft(UpstreamSchema, upstreamRules.defaults, {
      message: create(UpstreamSchema),
      paths: ["healthchecks"],
    });
    expect(cleared.message.healthchecks).toBeUndefined();
  });

  it("brings back a record that is null in the base", () => {
    const draft = create(UpstreamSchema, { healthchecks: { active: { concurrency: 3 } } });
    const { message } = mergeDraft(UpstreamSchema, create(UpstreamSchema), {
      message: draft,
      paths: ["healthchecks.active.concurrency"],
    });
    expect(message.healthchecks?.active?.concurrency).toBe(3);
  });

  it("keeps values out of range for the field rules to report", () => {
    const draft = create(ServiceSchema);
    draft.port = 5_000_000_000;
    expect(mergeDraft(ServiceSchema, create(ServiceSchema), { message: draft, paths: ["port"] }).message.port).toBe(
      5e9,
    );
  });

  it.each([
    "bogus",
    "healthchecks.active.foo",
    "name.x",
    "tags.0",
    "__proto__",
    "constructor",
    "healthchecks.__proto__",
    "",
  ])("reports %j as an unknown field", (path) => {
    const { problems } = mergeDraft(UpstreamSchema, upstreamRules.defaults, {
      message: create(UpstreamSchema),
      paths: [path],
    });
    expect(problems).toEqual([{ code: "invalid", field: path, message: "unknown field" }]);
  });

  it("with every leaf named gives the draft's message, whatever the base", () => {
    const paths = leafFields(UpstreamSchema).map(({ path }) => path);
    const upstreams = fc
      .record({
        name: fc.string(),
        slots: fc.option(fc.integer(), { nil: undefined }),
        tags: fc.array(fc.string()),
        threshold: fc.double({ noNaN: true }),
      })
      .map(({ threshold, ...rest }): Upstream => {
        const upstream = create(UpstreamSchema, { ...rest, healthchecks: upstreamRules.defaults.healthchecks });
        return { ...upstream, healthchecks: { ...upstream.healthchecks!, threshold } };
      });
    fc.assert(
      fc.property(upstreams, upstreams, (base, message) => {
        expect(equals(UpstreamSchema, mergeDraft(UpstreamSchema, base, { message, paths }).message, message)).toBe(
          true,
        );
      }),
    );
  });
});
