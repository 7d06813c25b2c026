import { createRegistry, type DescFile, type DescService, type FileRegistry, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type { ServerReflection, ServerReflectionRequest } from "@ritmo/contract/grpc/reflection/v1/reflection_pb.js";

/**
 * Server reflection over the descriptors of the services that are served, so that `grpcurl` and `buf curl` need no
 * files. Version 1 and 1alpha are the same messages under two names; this serves both.
 */
export function reflectionService(services: DescService[]): ServiceImpl<typeof ServerReflection> {
  const files = filesOf(services);
  const registry = createRegistry(...files.values());
  const names = services.map((service) => ({ name: service.typeName }));
  return {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        const base = { validHost: request.host, originalRequest: request };
        yield { ...base, messageResponse: answer(request, files, registry, names) };
      }
    },
  };
}

type Registry = Pick<FileRegistry, "getMessage" | "getEnum" | "getService" | "getExtension" | "get">;

function answer(
  request: ServerReflectionRequest,
  files: Map<string, DescFile>,
  registry: Registry,
  names: { name: string }[],
) {
  const asked = request.messageRequest;
  switch (asked.case) {
    case "listServices":
      return { case: "listServicesResponse" as const, value: { service: names } };
    case "fileByFilename":
      return filesFrom(files.get(asked.value));
    case "fileContainingSymbol":
      return filesFrom(fileOfSymbol(asked.value, registry));
    case "fileContainingExtension":
      return notFound("no such extension");
    case "allExtensionNumbersOfType":
      if (!registry.getMessage(asked.value)) return notFound("no such type");
      return {
        case: "allExtensionNumbersResponse" as const,
        value: { baseTypeName: asked.value, extensionNumber: [] },
      };
    default:
      return failure(Code.InvalidArgument, "the request asks for nothing");
  }
}

/** The file and all that it imports, each in protobuf's binary form. */
function filesFrom(file: DescFile | undefined) {
  if (!file) return notFound("no such file or symbol");
  const closure = [...gather(file, new Map()).values()];
  const fileDescriptorProto = closure.map((one) => toBinary(FileDescriptorProtoSchema, one.proto));
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
}

function fileOfSymbol(symbol: string, registry: Registry): DescFile | undefined {
  const found = registry.get(symbol);
  if (found) return found.file;
  // A method, field or enum value: what it belongs to is one name up.
  const parent = registry.get(symbol.slice(0, Math.max(0, symbol.lastIndexOf("."))));
  return parent && hasMember(parent, symbol.slice(symbol.lastIndexOf(".") + 1)) ? parent.file : undefined;
}

function hasMember(parent: NonNullable<ReturnType<Registry["get"]>>, name: string): boolean {
  if (parent.kind === "service") return parent.methods.some((method) => method.name === name);
  if (parent.kind === "message") return parent.members.some((member) => member.name === name);
  return parent.kind === "enum" && parent.values.some((value) => value.name === name);
}

function filesOf(services: DescService[]): Map<string, DescFile> {
  const files = new Map<string, DescFile>();
  for (const service of services) gather(service.file, files);
  return files;
}

function gather(file: DescFile, into: Map<string, DescFile>): Map<string, DescFile> {
  if (into.has(file.proto.name)) return into;
  into.set(file.proto.name, file);
  for (const dependency of file.dependencies) gather(dependency, into);
  return into;
}

function notFound(message: string) {
  return failure(Code.NotFound, message);
}

function failure(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}
