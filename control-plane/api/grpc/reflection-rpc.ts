import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type { ServerReflection, ServerReflectionRequest } from "../../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import type {
  ServerReflectionRequest as AlphaRequest,
  ServerReflection as AlphaServerReflection,
} from "../../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { type ReflectedFiles, reflectedFiles, withImports } from "./reflected-files.ts";

type Question = ServerReflectionRequest["messageRequest"] | AlphaRequest["messageRequest"];

/**
 * grpc.reflection, for both of its versions: they differ in the package's name only.
 * The index is built when the first client asks.
 */
export function reflectionRpc(services: () => readonly DescService[]): {
  readonly v1: ServiceImpl<typeof ServerReflection>;
  readonly v1alpha: ServiceImpl<typeof AlphaServerReflection>;
} {
  let files: ReflectedFiles | undefined;
  async function* answers<R extends { host: string; messageRequest: Question }>(requests: AsyncIterable<R>) {
    files ??= reflectedFiles(services());
    // A stream gets each file once, but for the one that it asks for: clients keep what they got.
    const sent = new Set<DescFile>();
    for await (const request of requests) {
      const messageResponse = answerTo(request.messageRequest, files, sent);
      yield { validHost: request.host, originalRequest: request, messageResponse };
    }
  }
  return {
    v1: { serverReflectionInfo: (requests) => answers(requests) },
    v1alpha: { serverReflectionInfo: (requests) => answers(requests) },
  };
}

function answerTo(question: Question, files: ReflectedFiles, sent: Set<DescFile>) {
  switch (question.case) {
    case "listServices":
      return {
        case: "listServicesResponse" as const,
        value: { service: files.serviceNames.map((name) => ({ name })) },
      };
    case "fileByFilename":
      return fileAnswer(files.byName.get(question.value), `file "${question.value}"`, sent);
    case "fileContainingSymbol":
      return fileAnswer(files.bySymbol.get(question.value), `symbol "${question.value}"`, sent);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      const file = files.extensions.get(containingType)?.get(extensionNumber);
      return fileAnswer(file, `extension ${extensionNumber} of "${containingType}"`, sent);
    }
    case "allExtensionNumbersOfType": {
      const baseTypeName = question.value;
      if (!files.bySymbol.has(baseTypeName)) return errorAnswer(Code.NotFound, `type "${baseTypeName}" not found`);
      const extensionNumber = [...(files.extensions.get(baseTypeName)?.keys() ?? [])];
      return { case: "allExtensionNumbersResponse" as const, value: { baseTypeName, extensionNumber } };
    }
    default:
      return errorAnswer(Code.InvalidArgument, "the request asks for nothing that is known");
  }
}

function fileAnswer(file: DescFile | undefined, what: string, sent: Set<DescFile>) {
  if (file === undefined) return errorAnswer(Code.NotFound, `${what} not found`);
  const unsent = withImports(file).filter((candidate) => candidate === file || !sent.has(candidate));
  for (const each of unsent) sent.add(each);
  return {
    case: "fileDescriptorResponse" as const,
    value: { fileDescriptorProto: unsent.map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto)) },
  };
}

function errorAnswer(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}
