import { type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import { noSecrets, type ShownSecrets } from "../secret-access.ts";

/** What of secrets the caller of an RPC is shown. */
export const shownSecrets = createContextKey<ShownSecrets>(noSecrets, { description: "shown secrets" });

export function contextWithSecrets(shown: ShownSecrets): ContextValues {
  return createContextValues().set(shownSecrets, shown);
}
