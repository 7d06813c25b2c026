import type { Command } from "commander";
import { addRun } from "../build/verbs.ts";
import { bind, type Cli } from "../cli.ts";

const JOB = "its name, id or web address";
const JSON_HELP = "print these fields as JSON; none lists them";

/** `ritmo job …` */
export function addJobVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    withFields(noun.command("create").description("add a job").argument("<name>", "letters, digits and hyphens"))
      .option(
        "-r, --repo <url>",
        "its repository: https://, ssh:// or, where the server allows it, file://; a job may do without where --pipeline checks nothing out",
      )
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./create.ts")).createJob,
  );
  bind(
    cli,
    withFields(noun.command("edit").description("change a job").argument("<job>", JOB))
      .option("-r, --repo <url>", "another repository")
      .option("--name <name>", "another name")
      .option("--revision <number>", "only if the job still has this revision")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./edit.ts")).editJob,
  );
  bind(
    cli,
    noun
      .command("list")
      .alias("ls")
      .description("jobs by name")
      .option("-q, --query <words>", "only those whose name or description has these words")
      .option("--newest", "the newest first")
      .option("-n, --limit <count>", "at most so many", "100")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./list.ts")).listJobs,
  );
  bind(
    cli,
    noun.command("view").description("one job").argument("<job>", JOB).option("--json [fields]", JSON_HELP),
    async () => (await import("./view.ts")).viewJob,
  );
  addRun(noun.command("run"), cli);
  bind(
    cli,
    noun
      .command("delete")
      .alias("rm")
      .description("remove a job; its builds stay readable by id")
      .argument("<job>", JOB)
      .option("-y, --yes", "do not ask"),
    async () => (await import("./delete.ts")).deleteJob,
  );
  bind(
    cli,
    noun.command("pause").description("refuse new builds of a job").argument("<job>", JOB),
    async () => (await import("./pause.ts")).pauseJob,
  );
  bind(
    cli,
    noun.command("resume").description("let a paused job build again").argument("<job>", JOB),
    async () => (await import("./pause.ts")).resumeJob,
  );
}

function withFields(command: Command): Command {
  return command
    .option("-b, --branch <branch>", "built when nobody names another")
    .option("-d, --description <text>", "what it is, for people")
    .option("-p, --pipeline <file>", "keep this file's pipeline in the job; - reads standard input")
    .option("--pipeline-path <path>", "read the pipeline from this file of the repository, not from .ritmo.yaml");
}
