import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ours } from "./contestant.ts";
import { fillIn } from "./fill-in.ts";

const setup = {
  contestant: ours("nginx", { routeCount: 3, upstreamCount: 1 }),
  targetPorts: [1001, 1002],
  targetWeights: [2, 1],
  listenPort: 8000,
  folder: "/folder",
} as const;

describe("fillIn", () => {
  it("repeats what stands between the marks for every route", () => {
    const template =
      "listen {{listenPort}}\n# {{#routes}}\nroute {{routePrefix}} {{target1Port}}\n# {{/routes}}\nend\n";
    expect(fillIn(template, setup)).toBe(
      "listen 8000\nroute /bench 1001\nroute /team-1/service-1 1001\nroute /team-2/service-2 1001\nend\n",
    );
  });

  const templates = readdirSync(new URL("./peers/", import.meta.url)).filter((name) => !name.endsWith(".ts"));
  it.each(templates)("leaves no placeholder in %s", (name) => {
    const filled = fillIn(readFileSync(new URL(`./peers/${name}`, import.meta.url), "utf8"), setup);
    expect(filled).not.toContain("{{");
    // HAProxy has its routes in a file of their own.
    if (name !== "haproxy.cfg") expect(filled).toContain("/team-2/service-2");
  });
});
