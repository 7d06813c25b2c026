import type { Command } from "commander";
import { bindAlone, type Cli } from "../cli.ts";

/** `ritmo completion …` */
export function addCompletion(command: Command, cli: Cli): void {
  command
    .argument("<shell>", "bash, zsh or fish")
    .addHelpText(
      "after",
      "\n  bash: source <(ritmo completion bash)\n  zsh:  source <(ritmo completion zsh)\n  fish: ritmo completion fish | source",
    );
  bindAlone(cli, command, async () => (await import("./print-script.ts")).printScript);
}

/** `ritmo __complete …`, which the scripts call. */
export function addComplete(command: Command, cli: Cli): void {
  command.argument("[words...]", "the words so far, the last one unfinished").allowUnknownOption();
  bindAlone(cli, command, async () => (await import("./complete.ts")).complete);
}
