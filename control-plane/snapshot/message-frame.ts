/** gRPC's prefix of a message on a stream: one byte that says "not compressed", and the length in four. */
const PREFIX_BYTES = 5;

/** Each for as long as its message is kept. */
const frames = new WeakMap<Uint8Array, Buffer>();

/** The message in memory that has its prefix before it, so that all streams that send it can write the same bytes. */
export function withFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafeSlow(PREFIX_BYTES + message.length);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  const framed = frame.subarray(PREFIX_BYTES);
  frames.set(framed, frame);
  return framed;
}

/** A message with its prefix; undefined unless it came from `withFrame`. */
export function frameOf(message: Uint8Array): Buffer | undefined {
  return frames.get(message);
}
