import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type ConnectResponse, ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";

/** Of sync.proto's fields, those that have entities or their keys in them, and which these are. */
const entityFields: ReadonlyMap<number, readonly number[]> = new Map([
  [ConnectResponseSchema.field.snapshotChunk.number, [2]],
  [ConnectResponseSchema.field.delta.number, [6, 7]],
]);

/**
 * A control plane's message. Two bytes can be an entity, or a field that nobody knows, which is 50 times as much in
 * memory: entities are counted before any is made, and of unknown fields nothing is kept.
 *
 * Cost: some 50 ns more for each entity.
 * Errors: throws when the bytes are no message, or one of more entities than that.
 */
export function readControlMessage(bytes: Uint8Array, entityMaxCount: number): ConnectResponse {
  const reader = new BinaryReader(bytes);
  let count = 0;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const counted = entityFields.get(field);
    if (counted === undefined || type !== WireType.LengthDelimited) {
      reader.skip(type, field);
      continue;
    }
    const length = reader.uint32();
    const end = reader.pos + length;
    while (reader.pos < end) {
      const [inner, innerType] = reader.tag();
      if (counted.includes(inner) && ++count > entityMaxCount) {
        throw new Error(`a message has more than ${entityMaxCount} entities`);
      }
      reader.skip(innerType, inner);
    }
  }
  return fromBinary(ConnectResponseSchema, bytes, { readUnknownFields: false });
}
