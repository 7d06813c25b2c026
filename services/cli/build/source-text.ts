import type { Build } from "@ritmo/contract/ritmo/build/v1/build_pb.js";

/** `main at 1a2b3c4d5e`, as far as it is known. */
export function sourceText({ source, commit }: Build): string {
  const short = commit.slice(0, 10);
  if (source.case === undefined || source.case === "commitOnly") return short || (source.value ?? "").slice(0, 10);
  const name = source.case === "tag" ? `tag ${source.value}` : source.value;
  return short ? `${name} at ${short}` : name;
}
