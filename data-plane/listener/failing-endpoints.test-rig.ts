import type { Socket } from "node:net";
import { answerText, type Backend, backend, type RawMessage, type rig } from "./proxy-server.test-rig.ts";

export const statusOf = (message: RawMessage): number => Number(message.head.slice(9, 12));
export const pathOf = ({ head }: RawMessage): string => head.split(" ", 2)[1]!;

/** Answers with a body of two bytes. */
export function say(socket: Socket, code: number, lines = ""): void {
  socket.write(`HTTP/1.1 ${code} Said\r\nContent-Length: 2\r\n${lines}\r\nok`);
}

/** A target that answers everything well. */
export const hello = (): Promise<Backend> => backend((_, socket) => void socket.write(answerText("hello")));

/** Sends the same so often on one connection, one after the other. @returns the statuses */
export async function askInTurn(
  proxy: Awaited<ReturnType<typeof rig>>,
  count: number,
  text: string,
): Promise<number[]> {
  const client = proxy.client();
  const statuses: number[] = [];
  for (let i = 0; i < count; i++) {
    client.send(text);
    statuses.push(statusOf(await client.answer()));
  }
  client.close();
  return statuses;
}

export const all = (count: number, value: number): number[] => Array.from({ length: count }, () => value);
