import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type QuarantinedEntity,
  type QuarantineStatus,
  ServedVersion,
} from "../proto/gen/penstock/admin/v1/quarantines_pb.ts";
import { linesText, oneLine } from "./printable.ts";

/** Entities and nodes that are told of by name. */
const namesMaxCount = 20;

/** What is in quarantine, for people. @param quarantines newest first */
export function quarantineReport(quarantines: readonly QuarantineStatus[]): string {
  if (quarantines.length === 0) return "Nothing is in quarantine: the nodes get everything as it is stored.\n";
  return quarantines.map((one) => linesText(linesOf(one))).join("\n");
}

function linesOf({ id, since, reason, field, message, nodeIds, entities }: QuarantineStatus): string[] {
  const sinceText = since === undefined ? "?" : timestampDate(since).toISOString();
  const told = entities.slice(0, namesMaxCount).map((entity) => `  ${lineOf(entity)}`);
  const more = entities.length > namesMaxCount ? [`  and ${entities.length - namesMaxCount} more`] : [];
  return [
    `${id}  since ${sinceText}`,
    `  ${reason}${field === "" ? "" : ` in ${oneLine(field, 200)}`}: ${oneLine(message, 1_000)}`,
    `  refused by ${nodeIds.slice(0, namesMaxCount).join(", ")}${nodeIds.length > namesMaxCount ? " and others" : ""}`,
    ...told,
    ...more,
  ];
}

function lineOf({ kind, id, name, refusedRevision, served, servedRevision, depends }: QuarantinedEntity): string {
  const what = `${kind} ${id}${name === "" ? "" : ` (${oneLine(name, 200)})`}`;
  const refused = refusedRevision === 0n ? "its deletion waits" : `revision ${refusedRevision} waits`;
  const good = servedRevision === 0n ? "its last good version" : `revision ${servedRevision}`;
  const instead = served === ServedVersion.NONE ? "nodes do not have it" : `nodes have ${good}`;
  return `${what}: ${refused}, ${instead}${depends ? ", as it depends on the others" : ""}`;
}
