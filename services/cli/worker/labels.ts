import type { Label } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { usage } from "../exit-codes.ts";

/** `gpu=true,zone=a` as labels. */
export function readLabels(text: string | undefined): { key: string; value: string }[] {
  if (text === undefined || text.trim() === "") return [];
  return text.split(",").map((part) => {
    const at = part.indexOf("=");
    const key = part.slice(0, Math.max(0, at)).trim();
    if (key === "") throw usage(`--labels: ${JSON.stringify(part)} is not a label like gpu=true.`);
    return { key, value: part.slice(at + 1).trim() };
  });
}

export function labelsText(labels: Label[]): string {
  return labels.map(({ key, value }) => `${key}=${value}`).join(",");
}
