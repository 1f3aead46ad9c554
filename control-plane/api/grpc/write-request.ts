import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { FieldMask } from "@bufbuild/protobuf/wkt";
import type { Checked } from "../../resource/checked.ts";
import type { Draft } from "../../resource/draft.ts";
import { maskedPaths, presentPaths } from "./draft-paths.ts";

/** The draft of a Create request: every leaf that is present. */
export function createDraft<T extends Message>(schema: DescMessage, message: T): Draft<T> {
  return { message, paths: presentPaths(schema, message) };
}

/** An Update request, understood. */
export interface UpdateDraft<T> {
  /** Which resource: its id or, where that is empty, what else names it. */
  readonly key: string;
  readonly draft: Draft<T>;
}

/**
 * The draft of an Update request: what the mask names or, without a mask, every leaf that is present.
 * The id says which resource, so it is never among the paths.
 *
 * @param name the resource's other key, used where its id is empty
 */
export function updateDraft<T extends Message & { id: string }>(
  schema: DescMessage,
  message: T,
  name: string | undefined,
  mask: FieldMask | undefined,
): Checked<UpdateDraft<T>> {
  const key = message.id || name;
  if (!key)
    return { ok: false, problems: [{ code: "invalid", field: "id", message: "is missing: nothing says which" }] };
  const hasMask = mask !== undefined && mask.paths.length > 0;
  const { paths, problem } = hasMask
    ? maskedPaths(schema, mask.paths)
    : { paths: presentPaths(schema, message), problem: null };
  const draft = { message, paths: paths.filter((path) => path !== "id"), problems: problem === null ? [] : [problem] };
  return { ok: true, value: { key, draft } };
}
