import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

/** `ritmo context …` */
export function addContextVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    noun
      .command("list")
      .alias("ls")
      .description("the contexts, the current one marked")
      .option("--json", "as JSON, without tokens"),
    async () => (await import("./list.ts")).listContexts,
  );
  bind(
    cli,
    noun.command("use").description("make a context the current one").argument("<context>"),
    async () => (await import("./use.ts")).useContext,
  );
  bind(
    cli,
    noun.command("remove").alias("rm").description("forget a context and its token").argument("<context>"),
    async () => (await import("./remove.ts")).removeContext,
  );
}
