import { readFileSync } from "node:fs";
import { writeReference } from "../../control-plane/pipeline/write-reference.ts";

const [START, END] = ["<!-- reference -->", "<!-- /reference -->"];

/** docs/pipeline.md, with the reference of the written form between its two marks; the rest is written by hand. */
export function pipelinePage(): string {
  const page = readFileSync(new URL("../../../docs/pipeline.md", import.meta.url), "utf8");
  const before = page.slice(0, page.indexOf(START) + START.length);
  return `${before}\n\n${writeReference()}\n${page.slice(page.indexOf(END))}`;
}
