import { expect, test } from "vitest";
import { parseCommit } from "./parse-commit.ts";

const object = (author: string, message: string | Buffer, more = "") =>
  Buffer.concat([
    Buffer.from(`tree ${"0".repeat(40)}\nauthor ${author} 1700000000 +0100\ncommitter C <c@x> 1 +0000\n${more}\n`),
    Buffer.from(message),
  ]);

test("author and message, as they are", () => {
  expect(
    parseCommit(object("Ada Lovelace <ada@ritmo.example>", "Subject\n\nBody <x@y>\nauthor Eve <eve@x>\n")),
  ).toEqual({
    authorName: "Ada Lovelace",
    authorEmail: "ada@ritmo.example",
    message: "Subject\n\nBody <x@y>\nauthor Eve <eve@x>",
  });
});

test("a signature in the head is no message, an author without a name has none", () => {
  const signed = object(
    "<x@y>",
    "Subject\n",
    "gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n",
  );
  expect(parseCommit(signed)).toEqual({ authorName: "", authorEmail: "x@y", message: "Subject" });
});

test("other encodings are read, what is none is replaced, and NUL is no text", () => {
  expect(parseCommit(object("A <a@x>", Buffer.from("Gr\xfcn", "latin1"), "encoding ISO-8859-1\n")).message).toBe(
    "Grün",
  );
  expect(parseCommit(object("A <a@x>", Buffer.from("a\xffb", "latin1"))).message).toBe("a\ufffdb");
  expect(parseCommit(object("A <a@x>", "x", "encoding klingon\n")).message).toBe("x");
  expect(parseCommit(object("A\0 <a@x>", "a\0b"))).toMatchObject({ authorName: "A\ufffd", message: "a\ufffdb" });
});

test("at most 16 KiB of a message, cut between characters", () => {
  const { message } = parseCommit(object("A <a@x>", `x${"é".repeat(10_000)}`));
  expect(Buffer.byteLength(message)).toBe(16 * 1024 - 1);
  expect(message).not.toContain("\ufffd");
});

test("something that is no commit has nothing", () => {
  expect(parseCommit(Buffer.from("x"))).toEqual({ authorName: "", authorEmail: "", message: "" });
});
