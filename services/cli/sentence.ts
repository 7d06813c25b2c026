/**
 * A text as a sentence of its own: a capital first, a full stop last. Empty stays empty, and so does the spelling of
 * what is no word but an id or a field, such as bld_… and job.name.
 */
export function sentence(text: string): string {
  const first = /^[a-z]+(?=[\s,]|$)/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return first === "" || /[.!?…:]$/.test(first) ? first : `${first}.`;
}
