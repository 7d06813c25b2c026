import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

const BUILD = "job#number, an id or a web address; the name of a job means its newest build";

/** `ritmo artifact …` */
export function addArtifactVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    noun
      .command("list")
      .alias("ls")
      .description("the files that a build kept")
      .argument("<build>", BUILD)
      .argument("[globs...]", "only these, as git ignores write them; quote them")
      .option("-s, --step <step>", "only of this step")
      .option("-n, --limit <count>", "at most so many", "1000")
      .option("--json [fields]", "print these fields as JSON; none lists them"),
    async () => (await import("./list.ts")).listArtifacts,
  );
  bind(
    cli,
    noun
      .command("download")
      .description("fetch files, whole and checked; what broke off is resumed")
      .argument("<build>", BUILD)
      .argument("[globs...]", "only these, as git ignores write them; quote them")
      .option("-t, --to <dir>", "the folder to put them in, under their own paths", ".")
      .option("-s, --step <step>", "only of this step")
      .option("-f, --force", "replace files that differ"),
    async () => (await import("./download.ts")).downloadArtifacts,
  );
}
