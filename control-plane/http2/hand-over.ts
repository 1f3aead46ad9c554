import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Duplex } from "node:stream";
import { LookedAt } from "./looked-at.ts";

const lookEveryMs = 1_000;

interface HandedOver {
  readonly session: ServerHttp2Session;
  readonly connection: Duplex;
  /** Whether its session was over at the last look. */
  isOver: boolean;
}

const handedOver = new LookedAt<HandedOver>(lookEveryMs, (one) => {
  if (one.isOver) one.connection.destroy();
  one.isOver = one.session.destroyed;
});

/**
 * Hands a connection to HTTP/2, and closes it when its session is over, within two seconds. node:http2 waits for what is
 * still to be written: for ever where the other end takes nothing, and where TLS loses the error of a write.
 *
 * @param begun is given the session before anybody else
 */
export function handOver(
  server: Http2Server,
  connection: Duplex,
  begun: (session: ServerHttp2Session) => void = () => {},
): void {
  if (connection.destroyed) return;
  const take = (session: ServerHttp2Session) => {
    const one = { session, connection, isOver: false };
    handedOver.add(one);
    connection.once("close", () => handedOver.delete(one));
    begun(session);
  };
  // It makes a session at once, or none.
  server.prependListener("session", take);
  try {
    server.emit("connection", connection);
  } finally {
    server.off("session", take);
  }
}
