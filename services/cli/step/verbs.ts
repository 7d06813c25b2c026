import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

const STEP = "job#number/step, an id or a web address";
const JSON_HELP = "print these fields as JSON; none lists them";

/** `ritmo step …` */
export function addStepVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    noun
      .command("list")
      .alias("ls")
      .description("the steps of a build")
      .argument("<build>", "job#number, an id or a web address; the name of a job means its newest build")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./list.ts")).listSteps,
  );
  bind(
    cli,
    noun
      .command("view")
      .description("one step and its attempts")
      .argument("<step>", STEP)
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./view.ts")).viewStep,
  );
  bind(
    cli,
    noun
      .command("explain")
      .description("why a step waits, or how it ended")
      .argument("<step>", STEP)
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./explain.ts")).explainStep,
  );
}
