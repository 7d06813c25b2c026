import { type DescEnum, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { FeatureSet_FieldPresence, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { usage } from "./exit-codes.ts";
import type { Io } from "./io.ts";

/**
 * A message as plain JSON: every field of the contract by its name there in camelCase, `null` for what is absent,
 * states by their name without prefix, times in ISO 8601, numbers as numbers, bytes in base64.
 */
export function plainOf(schema: DescMessage, message: Message): Record<string, unknown> {
  return plain(reflect(schema, message));
}

function plain(message: ReflectMessage): Record<string, unknown> {
  return Object.fromEntries(message.fields.map((field) => [field.localName, fieldOf(message, field)]));
}

function fieldOf(message: ReflectMessage, field: DescField): unknown {
  if (field.fieldKind === "list") {
    return [...message.get(field)].map((item) => plainValue(field.listKind === "enum" ? field.enum : undefined, item));
  }
  if (field.fieldKind === "map") return Object.fromEntries(message.get(field).entries());
  if (field.presence !== FeatureSet_FieldPresence.IMPLICIT && !message.isSet(field)) return null;
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.UINT64) return Number(message.get(field));
  return plainValue(field.fieldKind === "enum" ? field.enum : undefined, message.get(field));
}

function plainValue(kind: DescEnum | undefined, value: unknown): unknown {
  if (kind) return value === 0 ? null : (kind.value[value as number]?.localName ?? value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value === "bigint") return Number(value);
  if (!isReflected(value)) return value;
  if (value.desc.typeName === "google.protobuf.Timestamp")
    return timestampDate(value.message as Timestamp).toISOString();
  if (value.desc.typeName === "google.protobuf.Duration")
    return Number((value.message as { seconds?: bigint }).seconds ?? 0);
  return plain(value);
}

function isReflected(value: unknown): value is ReflectMessage {
  return typeof value === "object" && value !== null && "desc" in value && "fields" in value;
}

/** What `--json` was given, as field names: undefined when it was not given at all. Refuses none and unknown ones. */
export function readFields(given: string | true | undefined, schema: DescMessage): string[] | undefined {
  if (given === undefined) return undefined;
  const valid = schema.fields.map((f) => f.localName);
  const names = given === true ? [] : given.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !valid.includes(name));
  if (names.length > 0 && unknown.length === 0) return names;
  const what =
    names.length === 0
      ? "--json needs the fields to print."
      : `No field is named ${unknown.map((u) => JSON.stringify(u)).join(", ")}.`;
  throw usage(`${what} Name one or more of these, with commas between:\n  ${valid.join("\n  ")}`);
}

/** The named fields of a message. */
export function pick(schema: DescMessage, message: Message, fields: string[]): Record<string, unknown> {
  const all = plainOf(schema, message);
  return Object.fromEntries(fields.map((name) => [name, all[name]]));
}

/** Prints a value: indented on a terminal, on one line otherwise. */
export async function printJson(io: Io, value: unknown): Promise<void> {
  await io.stdout.write(`${JSON.stringify(value, null, io.isTty ? 2 : undefined)}\n`);
}

/** Prints one line of a stream. */
export async function printNdjson(io: Io, value: unknown): Promise<void> {
  await io.stdout.write(`${JSON.stringify(value)}\n`);
}
