import { answer, pathOf } from "../answer.ts";
import type { RpcFace, RpcFaceOptions } from "./rpc-face.ts";

/** `/package.Service/Method` of the packages whose services are here. */
const rpcPath = /^\/(?:penstock\.admin\.v1|grpc\.health\.v1|grpc\.reflection\.v1(?:alpha)?)\.\w+\/\w+$/;

/** The gRPC face, loaded with the first call: a control plane that is used over REST alone is 6 MB smaller without it. */
export function lazyRpcFace(options: RpcFaceOptions): RpcFace {
  let loading: Promise<RpcFace> | undefined;
  const load = async () => (await import("./rpc-face.ts")).rpcFace(options);
  return {
    serves: (path) => rpcPath.test(path),
    handle(request, response) {
      loading ??= load();
      loading.then(
        (face) => {
          // Who has left meanwhile would not be noticed any more, and a watch go on for nobody.
          if (!response.destroyed) face.handle(request, response);
        },
        (error: unknown) => {
          options.log.error({ err: error, path: pathOf(request.url) }, "the gRPC face could not be loaded");
          answer(response, 500, { message: "An unexpected error occurred" });
        },
      );
    },
  };
}
