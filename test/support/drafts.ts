import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, isFieldSet, type Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { Checked } from "../../control-plane/resource/checked.ts";
import type { Draft } from "../../control-plane/resource/draft.ts";
import { leafFields, valueAt } from "../../control-plane/resource/message-fields.ts";
import {
  CaCertificateSchema,
  CertificateSchema,
  SniSchema,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";

/**
 * A draft of every leaf that `init` sets, and of the `nulls`, as a face makes it of a request's body. An etag is not
 * among the paths.
 */
function draftOf<T extends Message>(
  schema: GenMessage<T>,
  init: MessageInitShape<GenMessage<T>>,
  nulls: readonly string[],
): Draft<T> {
  const message = create(schema, init) as T;
  const paths = leafFields(schema)
    .filter(({ path, field }) => {
      if (path === "etag") return false;
      if (!path.includes(".")) return isFieldSet(message, field);
      const value = valueAt(schema, message, path);
      return value !== undefined && !(Array.isArray(value) && value.length === 0) && !isEmptyMap(value);
    })
    .map(({ path }) => path);
  return { message, paths: [...paths, ...nulls] };
}

const isEmptyMap = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

export const upstreamDraft = (init: MessageInitShape<typeof UpstreamSchema>, nulls: readonly string[] = []) =>
  draftOf(UpstreamSchema, init, nulls);
export const targetDraft = (init: MessageInitShape<typeof TargetSchema>, nulls: readonly string[] = []) =>
  draftOf(TargetSchema, init, nulls);
export const serviceDraft = (init: MessageInitShape<typeof ServiceSchema>, nulls: readonly string[] = []) =>
  draftOf(ServiceSchema, init, nulls);
export const routeDraft = (init: MessageInitShape<typeof RouteSchema>, nulls: readonly string[] = []) =>
  draftOf(RouteSchema, init, nulls);

export const certificateDraft = (init: MessageInitShape<typeof CertificateSchema>, nulls: readonly string[] = []) =>
  draftOf(CertificateSchema, init, nulls);
export const sniDraft = (init: MessageInitShape<typeof SniSchema>, nulls: readonly string[] = []) =>
  draftOf(SniSchema, init, nulls);
export const caCertificateDraft = (init: MessageInitShape<typeof CaCertificateSchema>) =>
  draftOf(CaCertificateSchema, init, []);

/** The value of what must have gone well. */
export function granted<T>(checked: Checked<T>): T {
  if (!checked.ok) throw new Error(`refused: ${JSON.stringify(checked.problems)}`);
  return checked.value;
}
