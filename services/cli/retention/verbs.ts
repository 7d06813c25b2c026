import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

const JSON_HELP = "print these fields as JSON; none lists them";

/** `ritmo retention …` */
export function addRetentionVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    withRules(noun.command("preview").description("what would go now; nothing is taken"))
      .option("-j, --job <job>", "only of this job")
      .option("-n, --limit <count>", "name at most so many", "50")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./preview.ts")).previewRetention,
  );
  bind(
    cli,
    withRules(noun.command("set").description("rules of a job's own").argument("<job>", "its name, id or web address"))
      .option("--defaults", "as the server's settings say")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./set.ts")).setRetention,
  );
}

function withRules(command: Command): Command {
  return command
    .option("--days <count>", "builds that ended longer ago go; 0: none for its age")
    .option("--builds <count>", "so many stay, the newest ones; 0: any number")
    .option("--size <size>", "the newest stay up to this, as in 20GiB; 0: any size");
}
