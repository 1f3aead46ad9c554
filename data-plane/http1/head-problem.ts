/**
 * Why a head or a body's framing was refused. The parsers return these numbers negated, so that a position
 * (positive), "more bytes needed" (0) and a refusal share one integer and nothing is allocated.
 */
export const Problem = {
  RequestLine: 1,
  Method: 2,
  UnknownMethod: 3,
  Target: 4,
  TargetTooLong: 5,
  Version: 6,
  UnsupportedVersion: 7,
  LineEnd: 8,
  FieldName: 9,
  FieldValue: 10,
  FoldedLine: 11,
  HeadTooLarge: 12,
  TooManyFields: 13,
  HostMissing: 14,
  HostDuplicate: 15,
  HostInvalid: 16,
  ContentLength: 17,
  ContentLengthDuplicate: 18,
  TransferEncoding: 19,
  LengthAndEncoding: 20,
  EncodingInOldVersion: 21,
  ConnectionOption: 22,
  Expectation: 23,
  TunnelMethod: 24,
  TraceMethod: 25,
  AsteriskForm: 26,
  ChunkSize: 27,
  ChunkExtension: 28,
  ChunkEnd: 29,
  Trailer: 30,
  TrailerTooLarge: 31,
  StatusLine: 32,
  Status: 33,
  UnaskedUpgrade: 34,
  /** The two of a connection's first bytes that are no request at all. */
  Http2Preface: 35,
  TlsOnPlainPort: 36,
  /** An https resource, asked for without TLS. */
  Misdirected: 37,
  /** TLS the other way round: plain HTTP on a port for TLS. */
  PlainOnTlsPort: 38,
} as const;
export type Problem = (typeof Problem)[keyof typeof Problem];

export interface HeadProblem {
  /** Stable token for logs and counters. */
  readonly name: string;
  /** What a client that sent this is answered. Problems of a response are answered with 502 instead. */
  readonly status: number;
}

const table: HeadProblem[] = [];
function define(problem: Problem, name: string, status: number): void {
  table[problem] = { name, status };
}
define(Problem.RequestLine, "request_line", 400);
define(Problem.Method, "method", 400);
define(Problem.UnknownMethod, "unknown_method", 501);
define(Problem.Target, "target", 400);
define(Problem.TargetTooLong, "target_too_long", 414);
define(Problem.Version, "version", 400);
define(Problem.UnsupportedVersion, "unsupported_version", 505);
define(Problem.LineEnd, "line_end", 400);
define(Problem.FieldName, "field_name", 400);
define(Problem.FieldValue, "field_value", 400);
define(Problem.FoldedLine, "folded_line", 400);
define(Problem.HeadTooLarge, "head_too_large", 431);
define(Problem.TooManyFields, "too_many_fields", 431);
define(Problem.HostMissing, "host_missing", 400);
define(Problem.HostDuplicate, "host_duplicate", 400);
define(Problem.HostInvalid, "host_invalid", 400);
define(Problem.ContentLength, "content_length", 400);
define(Problem.ContentLengthDuplicate, "content_length_duplicate", 400);
define(Problem.TransferEncoding, "transfer_encoding", 400);
define(Problem.LengthAndEncoding, "length_and_encoding", 400);
define(Problem.EncodingInOldVersion, "encoding_in_old_version", 400);
define(Problem.ConnectionOption, "connection_option", 400);
define(Problem.Expectation, "expectation", 417);
define(Problem.TunnelMethod, "tunnel_method", 405);
define(Problem.TraceMethod, "trace_method", 405);
define(Problem.AsteriskForm, "asterisk_form", 400);
define(Problem.ChunkSize, "chunk_size", 400);
define(Problem.ChunkExtension, "chunk_extension", 400);
define(Problem.ChunkEnd, "chunk_end", 400);
define(Problem.Trailer, "trailer", 400);
define(Problem.TrailerTooLarge, "trailer_too_large", 431);
define(Problem.StatusLine, "status_line", 400);
define(Problem.Status, "status", 400);
define(Problem.UnaskedUpgrade, "unasked_upgrade", 400);
define(Problem.Http2Preface, "http2_preface", 505);
define(Problem.TlsOnPlainPort, "tls_on_plain_port", 400);
define(Problem.Misdirected, "misdirected", 421);
define(Problem.PlainOnTlsPort, "plain_on_tls_port", 400);

/** @param code what a parser returned: the problem's number, negated */
export function headProblem(code: number): HeadProblem {
  return table[-code]!;
}
