// CSI and its parameters; OSC, DCS, APC, PM and SOS up to their end; the rest of ECMA-48's two-character ones. None of
// them crosses a line end, so that what is unterminated spoils one line at most.
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for.
const SEQUENCE = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g;

/** Text without colours and other terminal sequences. Line ends stay where they are. */
export function stripAnsi(text: string): string {
  return text.includes("\u001b") ? text.replace(SEQUENCE, "") : text;
}
