import { isIP } from "node:net";

/** An option's value, or what is wrong with its text. */
export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

/** Reads the text of an option. */
export type Read<T> = (text: string) => Reading<T>;

/** Where to listen, or where to connect to. */
export interface Address {
  /** A hostname, or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

const fine = <T>(value: T): Reading<T> => ({ ok: true, value });
const wrong = (problem: string): Reading<never> => ({ ok: false, problem });

export const readText: Read<string> = (text) => fine(text);

/** `host:port`, IPv6 in brackets. */
export const readAddress: Read<Address> = (text) => {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return wrong("is not host:port");
  if (match[1] !== undefined && isIP(match[1]) !== 6) return wrong("has no IPv6 address in its brackets");
  return fine({ host: match[1] ?? match[2]!, port });
};

/** `host:port,host:port,...`, each of them once. */
export const readAddresses: Read<readonly string[]> = (text) => {
  const items = text.split(",").map((item) => item.trim());
  for (const item of items) {
    const address = readAddress(item);
    if (!address.ok) return wrong(`is not a list of host:port: ${JSON.stringify(item)} ${address.problem}`);
    if (address.value.port === 0) return wrong(`names port 0: ${item}`);
  }
  return fine([...new Set(items)]);
};

/** `key=value,key=value`. */
export const readLabels: Read<Readonly<Record<string, string>>> = (text) => {
  const labels: Record<string, string> = Object.create(null);
  if (text === "") return fine(labels);
  for (const pair of text.split(",")) {
    const match = /^\s*([A-Za-z0-9._/-]{1,63})=([^=]{0,255})\s*$/.exec(pair);
    if (match === null) return wrong(`is not key=value,key=value: ${JSON.stringify(pair)}`);
    if (match[1]! in labels) return wrong(`names ${match[1]} twice`);
    labels[match[1]!] = match[2]!;
  }
  return fine(labels);
};

/** A zone, as a target's `zone` may be written. */
export const readZone: Read<string> = (text) =>
  text.length <= 256 ? fine(text) : wrong("is longer than 256 characters");

export const readUuid: Read<string> = (text) => {
  const id = text.toLowerCase();
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(id) ? fine(id) : wrong("is not a uuid");
};

/** A list of what another reader takes; none for "". */
export function readList<T>(read: Read<T>): Read<readonly T[]> {
  return (text) => {
    const values: T[] = [];
    for (const item of text === "" ? [] : text.split(",")) {
      const reading = read(item.trim());
      if (!reading.ok) return wrong(`is not such a list: ${JSON.stringify(item.trim())} ${reading.problem}`);
      values.push(reading.value);
    }
    return fine(values);
  };
}

/** A share of the whole, from 0 to 1. */
export const readRatio: Read<number> = (text) => {
  const ratio = /^[01](\.[0-9]{1,9})?$|^\.[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return ratio <= 1 ? fine(ratio) : wrong("is not a number from 0 to 1");
};

/** As another reader; null for "", an option that is left to be found out. */
export function readUnlessEmpty<T>(read: Read<T>): Read<T | null> {
  return (text) => (text === "" ? fine(null) : read(text));
}

/** A whole number within bounds. */
export function readCount(min: number, max: number): Read<number> {
  return (text) => {
    const count = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return count >= min && count <= max ? fine(count) : wrong(`is not a whole number from ${min} to ${max}`);
  };
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, "": 1_000 };

/** A time in milliseconds, written `500ms`, `30s`, `2m`, `1h`, or as a bare number of seconds. At most a day. */
export const readDuration: Read<number> = (text) => {
  const match = /^([0-9]{1,8})(ms|s|m|h|)$/.exec(text);
  const ms = Number(match?.[1]) * UNIT_MS[match?.[2] ?? ""]!;
  return match !== null && ms <= 86_400_000
    ? fine(ms)
    : wrong("is not a time such as 500ms, 30s, 2m or 1h, up to a day");
};

/** One of a few words. */
export function readOneOf<T extends string>(words: readonly T[]): Read<T> {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    return word === undefined ? wrong(`is not one of ${words.join(", ")}`) : fine(word);
  };
}

export const readSwitch: Read<boolean> = (text) => {
  if (text === "true" || text === "1") return fine(true);
  return text === "false" || text === "0" ? fine(false) : wrong("is not true or false");
};
