import type { FieldLines } from "../http1/field-lines.ts";
import { readPort } from "../http1/host-field.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { NormalPath } from "../route/normalize-path.ts";
import type { HeaderLookup, RouteInput } from "../route/route-input.ts";
import type { Exchange } from "./exchange.ts";

/** Looks fields up in the head that is being read, when a route asks for them. */
class HeadFields implements HeaderLookup {
  fields: FieldLines | null = null;
  bytes: Buffer = Buffer.alloc(0);

  values(lowerName: string): readonly string[] {
    const fields = this.fields!;
    const values: string[] = [];
    for (let index = 0; index < fields.count; index++) {
      if (fields.isNamed(index, this.bytes, lowerName)) values.push(fields.valueAt(index, this.bytes));
    }
    return values;
  }
}

/** What decides the route, filled in anew for each request of the worker: a question is asked within one call. */
export class RouteQuestion implements RouteInput {
  protocol: "http" | "https" = "http";
  method = "";
  host = "";
  port = 0;
  path = "/";
  sni = "";
  readonly headers = new HeadFields();
}

const shared = new RouteQuestion();

/** The question that the route table is asked about this request. Valid until the next call, unless it has its own. */
export function requestQuestion(
  exchange: Exchange,
  path: NormalPath,
  head: RequestHead,
  bytes: Buffer,
  question: RouteQuestion = shared,
): RouteInput {
  question.protocol = exchange.scheme;
  question.method = exchange.method.name;
  question.host = exchange.host;
  question.port =
    head.hostNameEnd === head.authorityEnd
      ? exchange.localPort
      : readPort(bytes, head.hostNameEnd + 1, head.authorityEnd);
  question.path = path;
  question.sni = exchange.client.tls?.serverName ?? "";
  question.headers.fields = head.fields;
  question.headers.bytes = bytes;
  return question;
}
