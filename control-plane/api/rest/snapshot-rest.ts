import { exportSnapshot } from "../../snapshot/export-snapshot.ts";
import type { Store } from "../../store/store.ts";
import { type Endpoint, messageAnswer } from "./rest-answer.ts";

/** `GET /config/snapshot`: the whole configuration as a file that a data plane can start from; it holds private keys. */
export function snapshotRest(store: Pick<Store, "epoch" | "image">): Endpoint {
  return async ({ secrets }) => {
    if (!secrets.ofOne) return messageAnswer(403, "a snapshot holds private keys: only callers on this machine get it");
    const { publication, revision, parts } = await exportSnapshot(store);
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
