import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

/** `ritmo pipeline …` */
export function addPipelineVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    noun
      .command("lint")
      .description("check a pipeline with the server's own reader; exits 1 where it can't run")
      .argument("[file]", "the file; - reads standard input", ".ritmo.yaml")
      .option("--canonical", "print the pipeline in its long form")
      .option("--json [fields]", "print these fields of each finding as JSON; none lists them"),
    async () => (await import("./lint.ts")).lintPipeline,
  );
  bind(
    cli,
    noun.command("schema").description("the JSON Schema of pipelines, for editors"),
    async () => (await import("./schema.ts")).printSchema,
  );
}
