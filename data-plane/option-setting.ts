import { type Read, readCount, readDuration } from "./option-readers.ts";

/** One option: its flag, what it means, and how its text is read. */
export interface Setting<T> {
  /** Without dashes. The environment's name is made of it: "proxy-listen" is PENSTOCK_PROXY_LISTEN. */
  readonly flag: string;
  /** What its value looks like in the help; "" for a switch. */
  readonly form: string;
  readonly defaultText: string;
  readonly meaning: string;
  readonly read: Read<T>;
  /** The default in the help, where the text would say nothing. */
  readonly defaultMeaning?: string;
}

export function setting<T>(setting: Setting<T>): Setting<T> {
  return setting;
}

/** A limit on a count, from 1 on. */
export function limit(flag: string, defaultCount: number, max: number, meaning: string): Setting<number> {
  return setting({ flag, form: "COUNT", defaultText: String(defaultCount), meaning, read: readCount(1, max) });
}

/** A limit on bytes, from 1 on. */
export function bytesLimit(flag: string, defaultBytes: number, max: number, meaning: string): Setting<number> {
  return setting({ flag, form: "BYTES", defaultText: String(defaultBytes), meaning, read: readCount(1, max) });
}

/** A limit on time. */
export function timeLimit(flag: string, defaultText: string, meaning: string): Setting<number> {
  return setting({ flag, form: "TIME", defaultText, meaning, read: readDuration });
}
