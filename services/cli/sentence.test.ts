import { expect, test } from "vitest";
import { sentence } from "./sentence.ts";

test.each([
  ["no job is named x", "no job is named x."],
  ["hello is paused", "hello is paused."],
  ["wait!", "wait!"],
  ["", ""],
  ["bld_01m8 is the id of a build", "bld_01m8 is the id of a build."],
  ["job.name: is no name", "job.name: is no name."],
  ["labels[0].key: is taken", "labels[0].key: is taken."],
])("%j reads %j", (text, read) => {
  expect(sentence(text)).toBe(read);
});
