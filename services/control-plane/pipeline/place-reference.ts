import { writeReference } from "./write-reference.ts";

/** A page with the reference of the written form between its two marks, whatever was there before. */
export function placeReference(page: string): string {
  const [start, end] = ["<!-- reference -->", "<!-- /reference -->"];
  const before = page.slice(0, page.indexOf(start) + start.length);
  return `${before}\n\n${writeReference()}\n${page.slice(page.indexOf(end))}`;
}
