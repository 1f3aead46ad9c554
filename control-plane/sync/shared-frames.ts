import type { ServerInterceptingCall, ServerInterceptor } from "@grpc/grpc-js";
import { frameOf } from "../snapshot/message-frame.ts";

/** The part of grpc-js's call that makes the bytes of a message. */
interface SerializingCall {
  serializeMessage(value: unknown): Buffer;
}

/**
 * Has all streams that are sent the same snapshot or delta write the same memory. grpc-js copies every message for every
 * stream, to put five bytes before it: of a snapshot of 1 MB that 1,000 nodes get, 1 GB, which V8 leaves lying about up to
 * 64 MB at a time and then stops the thread to collect (`npm run prove -- thousand-nodes`).
 *
 * The method is none of grpc-js's API: a version without it copies as before, and shared-frames.test.ts fails.
 */
export const sharedFrames: ServerInterceptor = (_method, call) => {
  const serializing = call as unknown as SerializingCall;
  const copied = serializing.serializeMessage;
  if (typeof copied === "function") {
    serializing.serializeMessage = (value) =>
      (Buffer.isBuffer(value) ? frameOf(value) : undefined) ?? copied.call(call, value);
  }
  // grpc-js takes any call of this interface; only its types want a wrapper, which each message would go through.
  return call as ServerInterceptingCall;
};
