import { readFileSync, writeFileSync } from "node:fs";
import { placeReference } from "./place-reference.ts";

// Writes the reference in docs/pipeline.md anew from the definition of the written form.
const path = new URL("../../../docs/pipeline.md", import.meta.url);
writeFileSync(path, placeReference(readFileSync(path, "utf8")));
