import { expect, test } from "vitest";
import { extractErrorLine } from "./extract-error-line.ts";

test.each([
  [
    "a compiler's first message",
    "building\nsrc/a.ts(3,5): error TS2322: Type 'x'\nsrc/b.ts(1,1): error TS1005: ;\nFound 2 errors.\n",
    "src/a.ts(3,5): error TS2322: Type 'x'",
  ],
  [
    "gcc",
    "In file included from x.c:\nx.c:4:2: error: expected ';'\nmake: *** [all] Error 1",
    "x.c:4:2: error: expected ';'",
  ],
  ["rustc", "warning: unused\nerror[E0308]: mismatched types\n", "error[E0308]: mismatched types"],
  [
    "a Python exception, not the words that announce it",
    'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no such thing\n',
    "ValueError: no such thing",
  ],
  [
    "a Go panic",
    "ok\npanic: runtime error: index out of range\n\ngoroutine 1 [running]:\n",
    "panic: runtime error: index out of range",
  ],
  ["a failed test", "ok 1 - a\nnot ok 2 - adds up\n# fail 1\n", "not ok 2 - adds up"],
  [
    "a command that is not there",
    "+ makee all\n/bin/sh: 1: makee: command not found\n",
    "/bin/sh: 1: makee: command not found",
  ],
  ["git", "Cloning into 'x'...\nfatal: repository 'y' not found\n", "fatal: repository 'y' not found"],
  ["colours", "\u001b[1m\u001b[31merror\u001b[0m: it broke\n", "error: it broke"],
  ["words that say all is well", "0 errors, 0 failures\nno errors found\nthe disk is full\n", "the disk is full"],
  ["the shell's echo of a command", "+ echo error\nsomething else failed\n", "something else failed"],
  ["nothing like an error: the last line", "one\ntwo\n\n", "two"],
  ["an empty log", "\n \r\n", ""],
])("%s", (_, log, line) => {
  expect(extractErrorLine(log)).toBe(line);
});

test("a long or dirty line is kept short and clean", () => {
  expect(extractErrorLine(`error: ${"x".repeat(5_000)}`)).toHaveLength(300);
  expect(extractErrorLine("error: a\0b\tc")).toBe("error: a b c");
  expect(extractErrorLine(`error: ${"😀".repeat(500)}`).isWellFormed()).toBe(true);
  expect(extractErrorLine("progress 1\rprogress 2\rerror: at the end\n")).toBe("error: at the end");
});
