import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

/** `ritmo api …` */
export function addApi(command: Command, cli: Cli): void {
  command
    .argument("<method>", "as in ritmo.build.v1.BuildService/GetBuild, or BuildService/GetBuild")
    .option("-d, --data <json>", "the request as JSON; @FILE reads a file, - standard input", "{}")
    .option("-t, --timeout <time>", "give up after this time, with exit code 3")
    .addHelpText(
      "after",
      "\nA request_id is filled in where the method takes one. Streams print one JSON object a line.",
    );
  bind(cli, command, async () => (await import("./call-method.ts")).callMethod);
}
