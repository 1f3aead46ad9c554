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
  certificate: null,
} as const;

const certificate = { certPem: "", keyPem: "", certPath: "/c.crt", keyPath: "/c.key", bothPath: "/c.pem" };

describe("fillIn", () => {
  it("repeats what stands between the marks for every route", () => {
    const template =
      "listen {{listenPort}}\n# {{#routes}}\nroute {{routePrefix}} {{target1Port}}\n# {{/routes}}\nend\n";
    expect(fillIn(template, setup)).toBe(
      "listen 8000\nroute /bench 1001\nroute /team-1/service-1 1001\nroute /team-2/service-2 1001\nend\n",
    );
  });

  it("takes what is for TLS, or what is for plain HTTP", () => {
    const template = "# {{#plain}}\nplain\n# {{/plain}}\n# {{#tls}}\ntls {{keyPath}}\n# {{/tls}}\nend\n";
    expect(fillIn(template, setup)).toBe("plain\nend\n");
    expect(fillIn(template, { ...setup, certificate })).toBe("tls /c.key\nend\n");
  });

  const templates = readdirSync(new URL("./peers/", import.meta.url)).filter((name) => !name.endsWith(".ts"));
  const kinds = [
    { kind: "plain", filledWith: setup },
    { kind: "tls", filledWith: { ...setup, certificate } },
  ];
  it.each(templates.flatMap((name) => kinds.map((kind) => ({ name, ...kind }))))(
    "leaves no placeholder in $name, $kind",
    ({ name, filledWith }) => {
      const filled = fillIn(readFileSync(new URL(`./peers/${name}`, import.meta.url), "utf8"), filledWith);
      expect(filled).not.toContain("{{");
      // HAProxy has its routes in a file of their own.
      if (name !== "haproxy.cfg") expect(filled).toContain("/team-2/service-2");
    },
  );
});
