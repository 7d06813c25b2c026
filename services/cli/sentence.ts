/** A text as a sentence of its own: a capital first, a full stop last. Empty stays empty. */
export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return first === "" || /[.!?…:]$/.test(first) ? first : `${first}.`;
}
