import { type DescMessage, fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import {
  type ConnectResponse,
  ConnectResponseSchema,
  EntityKeySchema,
  EntitySchema,
} from "../../proto/gen/penstock/sync/v1/sync_pb.ts";

/** For each entity that there may be, also of fields that are not known: one has three, and is one itself. */
const fieldsPerEntity = 8;

/** What a message may have yet. */
interface Left {
  readonly reader: BinaryReader;
  entityCount: number;
  fieldCount: number;
}

/** Of each of sync.proto's messages, those in it by the numbers of their fields. */
const innerOf = new Map<DescMessage, ReadonlyMap<number, DescMessage>>();

/**
 * A control plane's message. Two bytes can be an entity, or a field that nobody knows, which is 50 times as much in
 * memory and takes 0.3 us to read: where there can be too many, both are counted before any is made. Of unknown fields
 * nothing is kept.
 *
 * Cost: some 350 ns more for each entity, in a message of more than two bytes for each that there may be.
 * Errors: throws when the bytes are no message, or one of more entities than that, or of eight times as many fields.
 */
export function readControlMessage(bytes: Uint8Array, entityMaxCount: number): ConnectResponse {
  if (bytes.length > 2 * entityMaxCount) assertFew(bytes, entityMaxCount);
  return fromBinary(ConnectResponseSchema, bytes, { readUnknownFields: false });
}

function assertFew(bytes: Uint8Array, entityMaxCount: number): void {
  const fieldMaxCount = fieldsPerEntity * entityMaxCount;
  const left = { reader: new BinaryReader(bytes), entityCount: entityMaxCount, fieldCount: fieldMaxCount };
  count(ConnectResponseSchema, bytes.length, left);
  if (left.entityCount < 0) throw new Error(`a message has more than ${entityMaxCount} entities`);
  if (left.fieldCount < 0) throw new Error(`a message has more than ${fieldMaxCount} fields`);
}

/** Counts what there is before `end`, until there is too much. */
function count(schema: DescMessage, end: number, left: Left): void {
  const inner = innerOf.get(schema) ?? innerMessages(schema);
  const { reader } = left;
  while (reader.pos < end && left.entityCount >= 0 && left.fieldCount >= 0) {
    const [field, type] = reader.tag();
    left.fieldCount--;
    const within = type === WireType.LengthDelimited ? inner.get(field) : undefined;
    if (within === undefined) {
      reader.skip(type, field);
      continue;
    }
    if (within === EntitySchema || within === EntityKeySchema) left.entityCount--;
    const length = reader.uint32();
    count(within, reader.pos + length, left);
  }
}

function innerMessages(schema: DescMessage): ReadonlyMap<number, DescMessage> {
  const messages = schema.fields.flatMap(({ number, message }) =>
    message === undefined ? [] : ([[number, message]] as const),
  );
  const inner = new Map(messages);
  innerOf.set(schema, inner);
  return inner;
}
