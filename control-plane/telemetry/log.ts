import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";

/** Structured log of the control plane: one JSON object a line. */
export type Log = Logger;

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Names of fields that never reach a log, wherever an object carries them. */
const secretFields = ["authorization", "cookie", "password", "token", "key", "secret"];

/**
 * Opens the control plane's log.
 * @param destination where the lines go; default: standard output
 */
export function openLog(level: LogLevel, destination?: DestinationStream): Log {
  const options = {
    level,
    // pid and hostname are what every collector adds by itself; the plane is what it cannot know.
    base: { plane: "control-plane" },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: "[redacted]" },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
