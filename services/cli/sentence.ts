/** A text with a full stop where it has no end. Its first letter stays: it may be that of a name, as in `hello is paused`. */
export function sentence(text: string): string {
  return text === "" || /[.!?…:]$/.test(text) ? text : `${text}.`;
}
