/**
 * Loaded into a data plane before its own code (`node --import`): makes it one from before the capability that
 * PENSTOCK_TEST_LACKS names. It does not say it, and its contract has neither the field nor the kind that needs it. Not
 * in TypeScript, as loop-delay-preload.mjs.
 */
import { registerHooks } from "node:module";

const capability = process.env.PENSTOCK_TEST_LACKS;

/** What its modules are made of, by the ends of their addresses. */
const edits = {
  "/data-plane/capabilities.js": (source) => source.replace(`"${capability}",`, ""),
  ...{
    "config.route-limits": {
      "/config/v1/route_pb.js": (source) =>
        `${source}\nfor (const list of [RouteSchema.fields, RouteSchema.members])
          list.splice(list.findIndex(({ name }) => name === "limits"), 1);`,
    },
    "config.health-overrides": {
      "/data-plane/snapshot/decode-entity.js": (source) => source.replace(/^ *health_override: .*\n/m, ""),
    },
  }[capability],
};

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const [, edit] = Object.entries(edits).find(([end]) => url.endsWith(end)) ?? [];
    if (edit === undefined) return loaded;
    const source = String(loaded.source);
    const older = edit(source);
    if (older === source) throw new Error(`${url} has nothing of ${capability}`);
    return { ...loaded, source: older };
  },
});
