import { type DescMessage, isFieldSet, type Message } from "@bufbuild/protobuf";
import { isLeaf } from "./message-fields.ts";

/** A copy without the records in which nothing is set; undefined when nothing is left. */
export function withoutEmptyRecords<T extends Message>(schema: DescMessage, message: T): T | undefined {
  const copy: Record<string, unknown> = { ...message };
  for (const field of schema.fields) {
    const value = copy[field.localName];
    if (isLeaf(field) || value === undefined) continue;
    const kept = withoutEmptyRecords(field.message!, value as Message);
    // A field that is there as undefined would still be a field to some comparisons.
    if (kept === undefined) delete copy[field.localName];
    else copy[field.localName] = kept;
  }
  return schema.fields.some((field) => isFieldSet(copy as unknown as Message, field)) ? (copy as T) : undefined;
}
