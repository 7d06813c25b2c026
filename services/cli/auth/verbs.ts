import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

/** `ritmo auth …` */
export function addAuthVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    noun
      .command("login")
      .description("sign in to a server, under the context that --context names or one named after the server")
      .option("--token-stdin", "read the token from standard input")
      .option("--setup-code <code>", "the one-time code that a new server prints"),
    async () => (await import("./login.ts")).login,
  );
  bind(
    cli,
    noun.command("status").description("where you are signed in, and as whom"),
    async () => (await import("./status.ts")).status,
  );
  bind(
    cli,
    noun.command("token").description("print the token, for scripts"),
    async () => (await import("./token.ts")).printToken,
  );
  bind(
    cli,
    noun.command("logout").description("forget the token of a context"),
    async () => (await import("./logout.ts")).logout,
  );
}
