// What Ritmo itself says of a worker stands under this prefix, and nobody else may.
const RESERVED = "ritmo/";

/** The labels that count: what the worker's row fixes, and of what its process reported the keys that the row allows. */
export function grantedLabels(fixed: string[], allowedKeys: string[], reported: string[]): string[] {
  const keyOf = (label: string) => label.slice(0, label.indexOf("="));
  const taken = new Set(fixed.map(keyOf));
  const allowed = reported.filter((label) => {
    const key = keyOf(label);
    return !key.startsWith(RESERVED) && !taken.has(key) && (allowedKeys.includes("*") || allowedKeys.includes(key));
  });
  return [...new Set([...fixed, ...allowed])].sort();
}
