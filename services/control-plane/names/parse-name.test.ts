import { expect, test } from "vitest";
import { newId } from "../../process/new-id.ts";
import { parseName } from "./parse-name.ts";

test.each([
  ["hello", { form: "name", job: "hello" }],
  ["hello#3", { form: "name", job: "hello", number: 3 }],
  ["hello#3/test", { form: "name", job: "hello", number: 3, step: "test" }],
  ["hello#3/test@2", { form: "name", job: "hello", number: 3, step: "test", attempt: 2 }],
  ["https://ci.example.com/jobs/hello", { form: "address", job: "hello" }],
  ["http://127.0.0.1:7480/jobs/hello/edit", { form: "address", job: "hello" }],
  ["http://[::1]:1/jobs/hello/builds/3", { form: "address", job: "hello", number: 3 }],
  [
    "https://ci.example.com/jobs/hello/builds/3?step=test&attempt=2&view=graph#L120-L140",
    { form: "address", job: "hello", number: 3, step: "test", attempt: 2 },
  ],
])("%s", (text, parsed) => expect(parseName(text)).toEqual(parsed));

test("an id is told by its prefix", () => {
  const id = newId("bld");
  expect(parseName(id)).toEqual({ form: "id", prefix: "bld", id });
});

test.each([
  "",
  " hello",
  "Hello",
  "-hello",
  "hello#",
  "hello#-1",
  "hello#1e3",
  "hello#1234567890123456",
  "hello#3/",
  "hello#3/test@",
  "hello#3/test@0x2",
  "hello#3/a/b",
  "hello\0",
  "hello#3/te\0st",
  "hello#3/\ud800",
  "ｈello",
  "hello\n",
  "bld_short",
  "nobody_0000000000000000000000000a",
  "https://ci.example.com/",
  "https://ci.example.com/jobs/hello/builds/x",
  "https://ci.example.com/jobs/hello/builds/3?step=%00",
  "https://ci.example.com/jobs/hello/builds/3?step=test&attempt=two",
  "https://",
  "javascript:/jobs/hello",
  "a".repeat(64),
  "x".repeat(1 << 20),
])("case %#: what is neither name, id nor address is undefined", (text) => expect(parseName(text)).toBeUndefined());
