import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { CreateTokenResponseSchema, IdentityService, Scope } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import type { Cli } from "../cli.ts";
import { CliError, EXIT, usage } from "../exit-codes.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { readDuration } from "../times.ts";

interface Options {
  scope: string;
  expires?: string;
  json?: string | true;
}

const SCOPES: Record<string, Scope> = { read: Scope.READ, write: Scope.WRITE, admin: Scope.ADMIN };

/** Makes a token; its value is the only thing on stdout. */
export async function createToken(cli: Cli, options: Options, [name = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, CreateTokenResponseSchema);
  const scope = Object.hasOwn(SCOPES, options.scope) ? SCOPES[options.scope] : undefined;
  if (scope === undefined) throw usage(`--scope ${JSON.stringify(options.scope)} is not one of read, write, admin.`);
  const expiresAt =
    options.expires === undefined ? {} : { expiresAt: timestampFromMs(Date.now() + readDuration(options.expires)) };
  const made = await openServer(cli)
    .client(IdentityService)
    .createToken({ name, scope, ...expiresAt });
  if (made.value === "") {
    throw new CliError(
      EXIT.error,
      `The token ${made.token?.id} is made, but the answer with its value was lost. Revoke it and make another.`,
    );
  }
  if (fields) return printJson(cli.io, pick(CreateTokenResponseSchema, made, fields));
  await cli.io.stdout.write(`${made.value}\n`);
  await cli.io.stderr.write(`This value is shown once. Its id is ${made.token?.id}.\n`);
}
