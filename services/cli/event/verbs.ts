import type { Command } from "commander";
import { bind, type Cli } from "../cli.ts";

/** `ritmo event …` */
export function addEventVerbs(noun: Command, cli: Cli): void {
  bind(
    cli,
    noun
      .command("watch")
      .description("print everything that happens, one JSON object a line, across broken connections")
      .option("-b, --build <build>", "only this build and its steps")
      .option("-k, --kind <kind...>", "only these kinds: build, step, worker, queue, job")
      .option("--cursor <cursor>", "go on from here; each line carries the cursor after it")
      .option("--count <number>", "end after so many events"),
    async () => (await import("./watch.ts")).watchEvents,
  );
}
