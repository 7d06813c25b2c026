/** The step's own name in `job#number/step`. */
export function keyOf(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}
