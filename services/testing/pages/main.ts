// `npm run docs:generate`: writes the pages of docs/ that are made from the code.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { GENERATED_PAGES } from "./generated-pages.ts";

for (const [path, text] of Object.entries(GENERATED_PAGES)) {
  writeFileSync(join(import.meta.dirname, "../../..", path), text());
  process.stdout.write(`${path}\n`);
}
