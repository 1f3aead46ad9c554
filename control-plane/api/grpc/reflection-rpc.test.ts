import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ServerReflection } from "../../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as AlphaServerReflection } from "../../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { type RpcRig, startRpcRig } from "../../../test/support/rpc-rig.ts";

let rig: RpcRig;
beforeEach(async () => {
  rig = await startRpcRig();
});
afterEach(() => rig.close());

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", AlphaServerReflection],
])("reflectionRpc %s", (_version, service) => {
  async function ask(...questions: object[]) {
    const stream = rig.stream(service.method.serverReflectionInfo);
    const answers = [];
    for (const messageRequest of questions) {
      stream.send({ host: "h", messageRequest });
      answers.push(await stream.next());
    }
    stream.call.end();
    expect(await stream.next()).toBe("end");
    return answers;
  }

  const filesOf = (answer: {
    messageResponse: { value: { fileDescriptorProto: Uint8Array[] } };
  }): FileDescriptorProto[] =>
    answer.messageResponse.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));

  it("lists the services", async () => {
    const [answer] = await ask({ case: "listServices", value: "" });
    expect(answer).toMatchObject({ validHost: "h", originalRequest: { host: "h" } });
    const names = answer.messageResponse.value.service.map(({ name }: { name: string }) => name);
    expect(names).toEqual([
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "penstock.admin.v1.CaCertificatesAPI",
      "penstock.admin.v1.CertificatesAPI",
      "penstock.admin.v1.ConfigAPI",
      "penstock.admin.v1.DiagnosticsAPI",
      "penstock.admin.v1.HealthAPI",
      "penstock.admin.v1.NodeTokensAPI",
      "penstock.admin.v1.NodesAPI",
      "penstock.admin.v1.QuarantinesAPI",
      "penstock.admin.v1.RolloutsAPI",
      "penstock.admin.v1.RoutesAPI",
      "penstock.admin.v1.ServicesAPI",
      "penstock.admin.v1.SnisAPI",
      "penstock.admin.v1.TargetsAPI",
      "penstock.admin.v1.TrafficAPI",
      "penstock.admin.v1.UpstreamsAPI",
    ]);
  });

  it("gives files from which a client can build every request", async () => {
    const [answer] = await ask({ case: "fileContainingSymbol", value: "penstock.admin.v1.UpstreamsAPI" });
    const files = filesOf(answer);
    expect(files[0]!.name).toBe("penstock/admin/v1/upstreams.proto");
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: files.reverse() }));
    const method = registry.getService("penstock.admin.v1.UpstreamsAPI")?.method["createUpstream"];
    expect(method?.input.field["upstream"]?.message?.field["healthchecks"]?.number).toBe(18);
  });

  it.each([
    ["a method", "penstock.admin.v1.UpstreamsAPI.GetUpstream", "penstock/admin/v1/upstreams.proto"],
    ["a nested message", "google.rpc.Status", null],
    ["a field", "penstock.config.v1.Upstream.slots", "penstock/config/v1/upstream.proto"],
    ["an enum value", "penstock.config.v1.ALGORITHM_LATENCY", "penstock/config/v1/upstream.proto"],
    ["a well-known type", "google.protobuf.FieldMask", "google/protobuf/field_mask.proto"],
    ["an extension", "buf.validate.field", "buf/validate/validate.proto"],
  ])("finds %s", async (_name, symbol, file) => {
    const [answer] = await ask({ case: "fileContainingSymbol", value: symbol });
    if (file === null) expect(answer.messageResponse.value.errorCode).toBe(Code.NotFound);
    else expect(filesOf(answer)[0]!.name).toBe(file);
  });

  it("sends no import twice, and a file whenever it is asked for", async () => {
    const byName = { case: "fileByFilename", value: "penstock/admin/v1/upstreams.proto" };
    const [first, second] = await ask(byName, byName);
    expect(filesOf(first).length).toBeGreaterThan(3);
    expect(filesOf(second).map(({ name }) => name)).toEqual([byName.value]);
  });

  it("looks extensions up", async () => {
    const containingType = "google.protobuf.FieldOptions";
    const [found, absent, numbers] = await ask(
      { case: "fileContainingExtension", value: { containingType, extensionNumber: 1159 } },
      { case: "fileContainingExtension", value: { containingType, extensionNumber: 7 } },
      { case: "allExtensionNumbersOfType", value: containingType },
    );
    expect(filesOf(found)[0]!.name).toBe("buf/validate/validate.proto");
    expect(absent.messageResponse).toMatchObject({ case: "errorResponse", value: { errorCode: Code.NotFound } });
    expect(numbers.messageResponse.value).toMatchObject({
      baseTypeName: containingType,
      extensionNumber: [1159, 1160],
    });
  });

  it.each([
    [{ case: "fileByFilename", value: "no.proto" }, Code.NotFound],
    [{ case: "fileContainingSymbol", value: "no.Such" }, Code.NotFound],
    [{ case: "fileContainingSymbol", value: "__proto__" }, Code.NotFound],
    [{ case: "allExtensionNumbersOfType", value: "no.Such" }, Code.NotFound],
    [{ case: undefined }, Code.InvalidArgument],
  ])("answers %j with an error, and goes on", async (question, errorCode) => {
    const [refused, answered] = await ask(question, { case: "listServices", value: "" });
    expect(refused.messageResponse).toMatchObject({ case: "errorResponse", value: { errorCode } });
    expect(answered.messageResponse.case).toBe("listServicesResponse");
  });
});
