import { Code, ConnectError } from "@connectrpc/connect";

/** Why the control plane gave no answer, in one line. @param upstream that was asked for; null for all */
export function failureText(error: unknown, adminUrl: string, upstream: string | null): string {
  const failure = ConnectError.from(error);
  if (failure.code === Code.NotFound && upstream !== null) return `there is no upstream ${JSON.stringify(upstream)}`;
  return `${adminUrl}: ${failure.rawMessage || failure.message}`;
}
