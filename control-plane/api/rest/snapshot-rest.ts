import { exportSnapshot } from "../../snapshot/export-snapshot.ts";
import type { Store } from "../../store/store.ts";
import { type Endpoint, messageAnswer } from "./rest-answer.ts";

const labelPattern = /^([A-Za-z0-9._/-]{1,63})=(.{0,255})$/s;

/**
 * `GET /config/snapshot?label=zone=eu`: the configuration as a file that a data plane with these labels can start from;
 * it holds private keys.
 */
export function snapshotRest(store: Pick<Store, "epoch" | "image">): Endpoint {
  return async ({ secrets, query }) => {
    if (!secrets().ofOne)
      return messageAnswer(403, "a snapshot holds private keys: only callers on this machine get it");
    const labels: Record<string, string> = {};
    for (const text of query.getAll("label")) {
      const [, key, value] = labelPattern.exec(text) ?? [];
      if (key === undefined) return messageAnswer(400, `label: '${text}' is not key=value`);
      labels[key] = value!;
    }
    const { publication, revision, parts } = await exportSnapshot(store, labels);
    return {
      status: 200,
      headers: {
        "Content-Disposition": `attachment; filename="penstock-${publication}.snapshot"`,
        "Cache-Control": "no-store",
        "Penstock-Publication": String(publication),
        "Penstock-Revision": String(revision),
      },
      bytes: { type: "application/octet-stream", parts },
    };
  };
}
