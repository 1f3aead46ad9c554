import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Log } from "../../telemetry/log.ts";

/** Logs, once and with its cause, what went wrong through a fault of ours; the client hears no more than INTERNAL. */
export function logFailures(log: Log): Interceptor {
  return (next) => async (request) => {
    const rpc = `${request.service.typeName}/${request.method.name}`;
    const asConnectError = (reason: unknown): ConnectError => {
      if (reason instanceof ConnectError && reason.code !== Code.Internal) return reason;
      // A call that was cancelled ends with whatever its handler met then; nobody waits for the answer.
      if (request.signal.aborted) return ConnectError.from(request.signal.reason, Code.Canceled);
      log.error({ rpc, err: reason instanceof ConnectError ? (reason.cause ?? reason) : reason }, "a call failed");
      return new ConnectError("internal error", Code.Internal, undefined, undefined, reason);
    };
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: withMappedError(response.message, asConnectError) };
    } catch (reason) {
      throw asConnectError(reason);
    }
  };
}

async function* withMappedError<M>(messages: AsyncIterable<M>, map: (reason: unknown) => Error): AsyncIterable<M> {
  try {
    yield* messages;
  } catch (reason) {
    throw map(reason);
  }
}
