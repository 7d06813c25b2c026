import type { YAMLError } from "yaml";
import type { Finding } from "./finding.ts";

type Words = [message: string, fix?: string];

const QUOTE = "quote this";

const WORDS: Partial<Record<YAMLError["code"], Words>> = {
  TAB_AS_INDENT: ["a tab can't indent", "indent with spaces"],
  BAD_ALIAS: ["`*` begins a reference, and here none is named", QUOTE],
  TAG_RESOLVE_FAILED: ["`!` begins a tag, and there is no such tag", QUOTE],
  BLOCK_AS_IMPLICIT_KEY: ["a second `: ` on one line makes a mapping within a mapping", QUOTE],
  BLOCK_IN_FLOW: ["a second `: ` makes a mapping within a mapping", QUOTE],
  BAD_DQ_ESCAPE: ["this escape is not one that double quotes know", "use single quotes, or write \\\\ for a backslash"],
  MULTIPLE_DOCS: ["a second document begins here", "remove the `---`; a pipeline is one document"],
  MISSING_CHAR: ["something is missing here"],
  BAD_INDENT: ["this line is not indented like those it belongs to", "align it with them"],
  RESOURCE_EXHAUSTION: ["this is nested too deeply"],
};

/** What the parser of YAML has to say, in the words of our other findings, each with its fix. */
export function explainYaml(errors: readonly YAMLError[]): Finding[] {
  // Beyond its limits the parser loses its footing, and whatever else it says follows from that.
  const exhausted = errors.find((error) => error.code === "RESOURCE_EXHAUSTION");
  const said = exhausted ? [exhausted] : errors.filter(isFirstAtItsPlace);
  return said.map((error) => {
    const [words, fix] = WORDS[error.code] ?? [];
    return {
      code: `yaml-${error.code.toLowerCase().replaceAll("_", "-")}`,
      message: words && error.code !== "MISSING_CHAR" ? words : lowerFirst(error.message),
      fix: fix ?? fixOf(error),
      place: error.pos,
    };
  });
}

/** What else is said of a place follows from what was said first. */
function isFirstAtItsPlace(error: YAMLError, index: number, errors: readonly YAMLError[]): boolean {
  return errors[index - 1]?.pos[0] !== error.pos[0];
}

function fixOf({ code, message }: YAMLError): string | undefined {
  if (code === "BAD_SCALAR_START" || code === "UNEXPECTED_TOKEN") return QUOTE;
  return /Missing closing ["']quote/.test(message) ? "close the quote" : undefined;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
