import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";
import { bindProcess } from "../process/start-process.ts";

const WORKER = "its name or id";
const JSON_HELP = "print these fields as JSON; none lists them";

/** `ritmo worker …`, and `ritmo worker` by itself, which is one. */
export function addWorkerVerbs(noun: Command, cli: Cli): void {
  bindProcess(cli, noun, "worker/main.ts");
  noun.addHelpText(
    "after",
    "\nWithout a verb it runs a worker in this process. Each of the worker's settings is a flag (docs/configuration.md):\n  $ RITMO_WORKER_TOKEN_FILE=token ritmo worker --control-plane ritmo.example.com:7481 --labels gpu=true --slots 2",
  );
  bind(
    cli,
    noun
      .command("list")
      .alias("ls")
      .description("the fleet by name")
      .option("-s, --state <state...>", "only in these states: new, online, draining, offline")
      .option("-p, --pool <pool>", "only of this pool")
      .option("-n, --limit <count>", "at most so many", "100")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./list.ts")).listWorkers,
  );
  bind(
    cli,
    noun.command("view").description("one worker").argument("<worker>", WORKER).option("--json [fields]", JSON_HELP),
    async () => (await import("./view.ts")).viewWorker,
  );
  bind(
    cli,
    noun
      .command("create")
      .description("make a place in the fleet; prints its token, once")
      .argument("<name>", "letters, digits and hyphens")
      .option("-l, --labels <labels>", "what it always has, as in gpu=true,zone=a")
      .option("-p, --pool <pool>", "its pool")
      .option("--allow-labels <keys>", "which labels its process may add, by key; * for any")
      .option("--json [fields]", JSON_HELP),
    async () => (await import("./create.ts")).createWorker,
  );
  bind(
    cli,
    noun
      .command("drain")
      .description("let a worker finish what it has and give it nothing new")
      .argument("<worker>", WORKER)
      .option("-r, --reason <text>", "shown to people"),
    async () => (await import("./drain.ts")).drainWorker,
  );
  bind(
    cli,
    noun.command("resume").description("end a drain").argument("<worker>", WORKER),
    async () => (await import("./drain.ts")).resumeWorker,
  );
  bind(
    cli,
    noun
      .command("delete")
      .alias("rm")
      .description("revoke a worker's token; what it runs is queued again")
      .argument("<worker>", WORKER)
      .option("-y, --yes", "do not ask"),
    async () => (await import("./delete.ts")).deleteWorker,
  );
}
