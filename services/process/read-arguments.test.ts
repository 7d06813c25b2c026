import { expect, test } from "vitest";
import { readArguments } from "./read-arguments.ts";

const NAMES = ["RITMO_LISTEN", "RITMO_DATA_DIR"];

test("flags are settings in lower case with dashes, with or without an equals sign, and a command may stand before them", () => {
  expect(readArguments(["config", "--listen", ":1", "--data-dir=x=y"], NAMES, ["config"])).toEqual({
    command: "config",
    help: false,
    flags: { RITMO_LISTEN: ":1", RITMO_DATA_DIR: "x=y" },
  });
});

test.each([
  [["--lisen", ":1"], /Unknown option '--lisen'/],
  [["--listen"], /--listen/],
  [["start"], /"start" is not known here; commands: config/],
  [["config", "again"], /"again" is not known/],
])("%j is refused by name", (argv, said) => {
  expect(() => readArguments(argv, NAMES, ["config"])).toThrow(said);
});
