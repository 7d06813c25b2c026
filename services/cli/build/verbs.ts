import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

const BUILD = "job#number, an id or a web address; the name of a job means its newest build";
const JSON_HELP = "print these fields as JSON; none lists them";

/** `ritmo build …` */
export function addBuildVerbs(noun: Command, cli: Cli): void {
  addRun(noun.command("run"), cli);
  bind(
    cli,
    noun
      .command("list")
      .alias("ls")
      .description("builds, the newest first")
      .option("-j, --job <job>", "only of this job")
      .option("-s, --state <state...>", "only in these states: pending, running, success, failure, error, …")
      .option("-b, --branch <branch>", "only of this branch")
      .option("-c, --commit <commit>", "only at this commit")
      .option("--oldest", "the oldest first")
      .option("-n, --limit <count>", "at most so many", "30")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./list.ts")).listBuilds,
  );
  bind(
    cli,
    noun
      .command("view")
      .description("how a build stands, what failed and why, what to do next")
      .argument("<build>", BUILD)
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./view.ts")).viewBuild,
  );
  bind(
    cli,
    noun
      .command("watch")
      .description("follow a build to its end; exits 9 when it fails")
      .argument("<build>", BUILD)
      .option("--timeout <time>", "give up after this time, with exit code 3")
      .option("--no-logs", "states alone, without what the steps write")
      .option("--json", "one JSON object a line for everything that happens"),
    async () => (await import("./watch.ts")).watch,
  );
  addLogs(noun.command("logs"), cli);
  bind(
    cli,
    noun
      .command("cancel")
      .description("ask a build to end")
      .argument("<build>", BUILD)
      .option("-r, --reason <text>", "shown to people")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./cancel.ts")).cancelBuild,
  );
  bind(
    cli,
    noun
      .command("retry")
      .description("run again what did not succeed, in the same build")
      .argument("<build>", BUILD)
      .option("-s, --step <step...>", "only these steps")
      .option("-w, --watch", "follow it to its end; exits 9 when it fails")
      .option("--timeout <time>", "with --watch: give up after this time, with exit code 3")
      .option("--json [fields]", `${JSON_HELP}; with --watch one object a line`),
    async () => (await import("./retry.ts")).retryBuild,
  );
  addPins(noun, cli);
}

function addPins(noun: Command, cli: Cli): void {
  bind(
    cli,
    noun
      .command("pin")
      .description("keep a build, whatever the rules of retention say")
      .argument("<build>", BUILD)
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./pin.ts")).pinBuild,
  );
  bind(
    cli,
    noun
      .command("unpin")
      .description("leave it to the rules again")
      .argument("<build>", BUILD)
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./pin.ts")).unpinBuild,
  );
}

/** `ritmo build run`, which is `ritmo job run` too. */
export function addRun(command: Command, cli: Cli): void {
  bind(
    cli,
    command
      .description("start a build of a job")
      .argument("[job]", "its name, id or web address; may be left out where there is only one")
      .option("-b, --branch <branch>", "build the newest commit of this branch")
      .option("-t, --tag <tag>", "build this tag")
      .option("-c, --commit <commit>", "build this commit")
      .option("-w, --watch", "follow it to its end; exits 9 when it fails")
      .option("--timeout <time>", "with --watch: give up after this time, with exit code 3")
      .option("--no-logs", "with --watch: states alone, without what the steps write")
      .option("--json [fields]", `${JSON_HELP}; with --watch one object a line`),
    async () => (await import("./run.ts")).runBuild,
  );
}

function addLogs(command: Command, cli: Cli): void {
  bind(
    cli,
    command
      .description("what the steps of a build wrote")
      .argument("<name>", `a build (${BUILD}), a step job#number/step, or an attempt job#number/step@2`)
      .option("-s, --step <step>", "only this step")
      .option("-a, --attempt <number>", "this attempt of it, not the newest")
      .option("--failed", "only the steps that failed")
      .option("-f, --follow", "go on until the step is over")
      .option("--raw", "byte for byte what the step wrote")
      .option(
        "-t, --timestamps",
        "before each line when it was read from the step, in UTC; goes with --lines and --follow",
      )
      .option("-l, --lines <span>", "only lines 120-140, 120- or 120")
      .option("-g, --grep <regex>", "only lines that match (RE2), with their numbers; searched on the server")
      .option("-i, --ignore-case", "with --grep: whatever the case")
      .option("--prepare", "the log of the preparation: checkout, inputs, uploads")
      .option("--json", "one JSON object a line"),
    async () => (await import("./logs.ts")).buildLogs,
  );
}
