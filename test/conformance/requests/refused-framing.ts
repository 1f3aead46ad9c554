import { get, post, type RequestCase, type RequestFamily, refused } from "../conformance-case.ts";

const zero = "0\r\n\r\n";
const coded = "Transfer-Encoding: chunked\r\n";

/** A body of five bytes under a Content-Length value that may not be. */
function lengths(values: readonly (readonly [name: string, value: string])[]): RequestCase[] {
  return refused(values.map(([name, value]) => [name, post(`Content-Length:${value}\r\n`, "hello")]));
}

function codings(values: readonly (readonly [name: string, value: string])[]): RequestCase[] {
  return refused(values.map(([name, value]) => [name, post(`Transfer-Encoding:${value}\r\n`, zero)]));
}

export const refusedLengths: RequestFamily = {
  name: "content-length that is no number",
  source: "RFC 9110 section 8.6; RFC 9112 section 6.3",
  cases: lengths([
    ["a plus sign", " +5"],
    ["a minus sign", " -5"],
    ["minus zero", " -0"],
    ["hexadecimal", " 0x5"],
    ["a hexadecimal digit", " a"],
    ["leading zeros, octal to some", " 005"],
    ["two zeros", " 00"],
    ["a list of equals", " 5, 5"],
    ["a list", " 5, 6"],
    ["a list with an empty element", " 5,"],
    ["a leading comma", " ,5"],
    ["a fraction", " 5.0"],
    ["an exponent", " 5e0"],
    ["an underscore", " 1_0"],
    ["white space within", " 1 0"],
    ["a trailing letter", " 5a"],
    ["a trailing semicolon", " 5;"],
    ["quotes", ' "5"'],
    ["nothing", ""],
    ["white space alone", " \t "],
    ["2^64 + 5, which wraps to 5", " 18446744073709551621"],
    ["2^32 + 5 with zeros before it", " 00000004294967301"],
    ["sixteen digits", " 1234567890123456"],
    ["a superscript digit", " \xb2"],
    ["a vertical tab before it", " \x0b5"],
    ["a NUL after it", " 5\0"],
    ["a no-break space after it", " 5\xa0"],
  ]),
};

export const refusedCodings: RequestFamily = {
  name: "transfer-encoding that is not exactly chunked",
  source: "RFC 9112 section 6.1; TE.TE and TE.0",
  cases: codings([
    ["gzip", " gzip"],
    ["identity", " identity"],
    ["nothing", ""],
    ["gzip, chunked", " gzip, chunked"],
    ["chunked, gzip", " chunked, gzip"],
    ["chunked, identity", " chunked, identity"],
    ["identity, chunked", " identity, chunked"],
    ["chunked twice in a list", " chunked, chunked"],
    ["an empty element before it", " , chunked"],
    ["an empty element after it", " chunked,"],
    ["a parameter", " chunked;q=1"],
    ["a semicolon", " chunked;"],
    ["double quotes", ' "chunked"'],
    ["single quotes", " 'chunked'"],
    ["a prefix", " xchunked"],
    ["a suffix", " chunkedx"],
    ["a letter missing", " chunke"],
    ["white space within", " chun ked"],
    ["a vertical tab before it", " \x0bchunked"],
    ["a form feed after it", " chunked\x0c"],
    ["a tab after it", " chunked\t"],
    ["a space and a tab after it", " chunked \t"],
    ["a NUL after it", " chunked\0"],
    ["a no-break space before it", " \xa0chunked"],
    ["a byte order mark before it", " \xef\xbb\xbfchunked"],
    ["a long s", " chun\xc5\xbfked"],
    ["a backslash", " chunked\\"],
    ["a colon before it", ": chunked"],
    ["two codings in one value", " chunked gzip"],
  ]),
};

export const refusedPairs: RequestFamily = {
  name: "framing said twice",
  source: "RFC 9112 sections 6.1 and 6.3; CL.TE, TE.CL, CL.CL, TE.TE",
  cases: refused([
    ["CL.TE", post(`Content-Length: 6\r\n${coded}`, `${zero}G`)],
    ["TE.CL", post(`${coded}Content-Length: 4\r\n`, `5c\r\nGET /smuggled HTTP/1.1\r\n\r\n${zero}`)],
    ["length 0 and chunked", post(`Content-Length: 0\r\n${coded}`, zero)],
    ["lengths far apart", post(`Content-Length: 5\r\nX: y\r\n${coded}`, zero)],
    ["other cases of the names", post(`content-LENGTH: 5\r\ntransfer-ENCODING: chunked\r\n`, zero)],
    ["two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")],
    ["two lengths", post("Content-Length: 5\r\nContent-Length: 0\r\n", "hello")],
    ["two lengths in other case", post("Content-Length: 5\r\ncontent-length: 5\r\n", "hello")],
    ["a good length and a bad one", post("Content-Length: 5\r\nContent-Length: +5\r\n", "hello")],
    ["a length and an empty one", post("Content-Length: 5\r\nContent-Length:\r\n", "hello")],
    ["two codings", post(`${coded}${coded}`, zero)],
    ["chunked and identity", post(`${coded}Transfer-Encoding: identity\r\n`, zero)],
    ["identity and chunked", post(`Transfer-Encoding: identity\r\n${coded}`, zero)],
    ["a length and an unknown coding", post("Content-Length: 5\r\nTransfer-Encoding: x\r\n", "hello")],
    ["a length on GET twice", get("Content-Length: 0\r\nContent-Length: 0\r\n")],
    ["chunked on HTTP/1.0", `POST /x HTTP/1.0\r\nHost: a.test\r\n${coded}\r\n${zero}`],
    [
      "chunked and a length on HTTP/1.0",
      `POST /x HTTP/1.0\r\nHost: a.test\r\nContent-Length: 5\r\n${coded}\r\n${zero}`,
    ],
    ["a length nominated by Connection", post("Connection: content-length\r\nContent-Length: 5\r\n", "hello")],
    ["the coding nominated by Connection", post(`Connection: Transfer-Encoding\r\n${coded}`, zero)],
    ["Host nominated by Connection", get("Connection: host\r\n")],
    ["framing nominated in a list", post("Connection: close, x, content-length\r\nContent-Length: 5\r\n", "hello")],
    ["framing nominated, and not there", get("Connection: Content-Length\r\n")],
    ["Connection that is no list of tokens", get("Connection: a b\r\n")],
    ["Connection with a parameter", get("Connection: close;x\r\n")],
    ["Connection with a quote", get('Connection: "close"\r\n')],
  ]),
};
