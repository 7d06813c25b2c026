import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

const JSON_HELP = "print these fields as JSON; none lists them";

/** `ritmo token …` */
export function addTokenVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    noun
      .command("create")
      .description("make a token; its value is printed once")
      .argument("<name>", "what it is for")
      .option("--scope <scope>", "read, write or admin", "read")
      .option("--expires <time>", "how long it lives, as in 90d; for ever when nobody says")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./create.ts")).createToken,
  );
  bind(
    cli,
    noun
      .command("list")
      .alias("ls")
      .description("tokens, the newest first, never their values")
      .option("-n, --limit <count>", "at most so many", "100")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./list.ts")).listTokens,
  );
  bind(
    cli,
    noun.command("revoke").description("end a token at once").argument("<id>", "as `ritmo token list` shows it"),
    async () => (await import("./revoke.ts")).revokeToken,
  );
}
