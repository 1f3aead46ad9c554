import type { DescEnum, DescExtension, DescFile, DescMessage, DescService } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";

/** What reflection can tell about a set of services. */
export interface ReflectedFiles {
  /** Full names, sorted. */
  readonly serviceNames: readonly string[];
  readonly byName: ReadonlyMap<string, DescFile>;
  /** By full name of a service, method, message, field, oneof, enum, enum value or extension. */
  readonly bySymbol: ReadonlyMap<string, DescFile>;
  /** Extensions of a message, by the message's full name and then by number. */
  readonly extensions: ReadonlyMap<string, ReadonlyMap<number, DescFile>>;
}

/** Indexes the files that declare the services, and all that these import. */
export function reflectedFiles(services: readonly DescService[]): ReflectedFiles {
  const byName = new Map<string, DescFile>();
  for (const { file } of services) addWithImports(byName, file);
  const bySymbol = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();
  for (const file of byName.values()) {
    for (const type of nestedTypes(file)) {
      for (const symbol of symbolsOf(type)) bySymbol.set(symbol, file);
      if (type.kind !== "extension") continue;
      const ofMessage = extensions.get(type.extendee.typeName) ?? new Map<number, DescFile>();
      extensions.set(type.extendee.typeName, ofMessage.set(type.number, file));
    }
  }
  return { serviceNames: services.map(({ typeName }) => typeName).sort(), byName, bySymbol, extensions };
}

/** The file and all that it imports, itself first and each before its imports: what a client needs to use it. */
export function withImports(file: DescFile): readonly DescFile[] {
  const files = new Map<string, DescFile>();
  addWithImports(files, file);
  return [...files.values()].reverse();
}

/** Adds a file after its imports. */
function addWithImports(files: Map<string, DescFile>, file: DescFile): void {
  // The name that importers use; DescFile.name lacks the ".proto".
  if (files.has(file.proto.name)) return;
  for (const imported of file.dependencies) addWithImports(files, imported);
  files.set(file.proto.name, file);
}

function symbolsOf(type: DescService | DescMessage | DescEnum | DescExtension): readonly string[] {
  const name = type.typeName;
  switch (type.kind) {
    case "service":
      return [name, ...type.methods.map((method) => `${name}.${method.name}`)];
    case "message":
      return [name, ...[...type.fields, ...type.oneofs].map((member) => `${name}.${member.name}`)];
    case "enum": {
      // Values are siblings of their enum, not children of it (C++ scoping).
      const scope = name.slice(0, name.lastIndexOf(".") + 1);
      return [name, ...type.values.map((value) => scope + value.name)];
    }
    case "extension":
      return [name];
  }
}
