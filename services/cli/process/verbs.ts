import type { Command } from "commander";
import { bindAlone, type Cli } from "../cli.ts";
import { bindProcess, startProcess } from "./start-process.ts";

/** `ritmo up` */
export function addUp(command: Command, cli: Cli): void {
  bindProcess(cli, command, "up/main.ts");
  command.addHelpText(
    "after",
    "\nThis is what `npm start` runs: PostgreSQL, a control plane, a worker, and this machine signed in.",
  );
}

/** `ritmo server` */
export function addServer(command: Command, cli: Cli): void {
  bindProcess(cli, command, "control-plane/main.ts");
  command.addHelpText(
    "after",
    "\nIts settings are in docs/configuration.md; `ritmo config --server` prints them.\n  $ RITMO_DATABASE_URL_FILE=url ritmo server --listen 0.0.0.0:7480 --url https://ritmo.example.com\n  $ ritmo server new-setup-code      # for the first sign-in",
  );
}

/** `ritmo sample PATH` */
export function addSample(command: Command, cli: Cli): void {
  command.argument("<path>", "where to make the bare repository, as in /tmp/hello.git");
  bindAlone(cli, command, async () => (_cli, _options, args) => startProcess(cli, "sample/main.ts", args));
}

/** `ritmo config` */
export function addConfig(command: Command, cli: Cli): void {
  command.option("--server", "those of `ritmo server`").option("--worker", "those of `ritmo worker`");
  bindAlone(cli, command, async () => (await import("./print-config.ts")).printConfig);
}
