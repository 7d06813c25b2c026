import {
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromJson,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import type { Cli } from "../cli.ts";
import { CliError, EXIT, usage } from "../exit-codes.ts";
import { fillRequestId, openServer, type Server } from "../open-client.ts";
import { printJson, printNdjson } from "../print-json.ts";
import { readText } from "../read-text.ts";
import { readDuration } from "../times.ts";
import { findMethod, REGISTRY } from "./services.ts";

interface Options {
  data: string;
  timeout?: string;
}

/** Calls any method with a request in JSON and prints the answer, or each message of the stream on a line. */
export async function callMethod(cli: Cli, options: Options, [name = ""]: string[]): Promise<void> {
  const method = findMethod(name);
  if (method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming") {
    throw usage(`${name} reads a stream from its caller, which this command can't send.`);
  }
  const request = readRequest(method, await readData(cli, options.data));
  const late = options.timeout === undefined ? undefined : AbortSignal.timeout(readDuration(options.timeout));
  // The health service and signing in answer everybody.
  const server = openServer(cli, { signedOut: true });
  try {
    await call(cli, server, method, request, late);
  } catch (reason) {
    if (late?.aborted) throw new CliError(EXIT.gaveUp, `${name} was not over after ${options.timeout}.`);
    throw reason;
  }
}

function readData(cli: Cli, data: string): Promise<string> | string {
  if (data === "-") return readText(cli.io, "-");
  return data.startsWith("@") ? readText(cli.io, data.slice(1)) : data;
}

function readRequest(method: DescMethod, text: string): Message {
  let json: JsonValue;
  try {
    json = JSON.parse(text.trim() === "" ? "{}" : text) as JsonValue;
  } catch (reason) {
    throw usage(`The request is not JSON: ${(reason as Error).message}`);
  }
  try {
    const message = fromJson(method.input, json, { registry: REGISTRY });
    fillRequestId(method.input, message);
    return message;
  } catch (reason) {
    const fields = method.input.fields.map((field) => field.jsonName).join(", ") || "none";
    throw usage(`The request is no ${method.input.typeName}: ${(reason as Error).message}. Its fields: ${fields}.`);
  }
}

async function call(
  cli: Cli,
  { transport }: Server,
  method: DescMethod,
  request: Message,
  late: AbortSignal | undefined,
): Promise<void> {
  const json = (message: Message) => toJson(method.output, message, { registry: REGISTRY });
  if (method.methodKind === "unary") {
    const { message } = await transport.unary(method as DescMethodUnary, late, undefined, undefined, request);
    return printJson(cli.io, json(message));
  }
  const { message: messages } = await transport.stream(
    method as DescMethodStreaming,
    late,
    undefined,
    undefined,
    one(request),
  );
  for await (const message of messages) await printNdjson(cli.io, json(message));
}

async function* one<T>(value: T): AsyncGenerator<T> {
  yield value;
}
