import { expect, test } from "vitest";
import { nearest } from "./nearest.ts";

test.each([
  ["rnu", ["run", "needs"], "run"],
  ["need", ["run", "needs"], "needs"],
  ["Timeout", ["timeout"], "timeout"],
  ["artefacts", ["artifacts", "inputs"], "artifacts"],
  ["lnit", ["lint", "init"], "lint"],
  ["x", ["y", "abc"], "y"],
  ["compile", ["test", "deploy"], undefined],
  ["", ["abc"], undefined],
  ["abc", [], undefined],
])("%j of %j is %j", (word, candidates, expected) => expect(nearest(word, candidates)).toBe(expected));
