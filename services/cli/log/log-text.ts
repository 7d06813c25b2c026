/* biome-ignore-all lint/suspicious/noControlCharactersInRegex: control characters are what this file is about. */

// One token at a time, so that what one leaves can't join with the next to something new. In their order: CSI; OSC,
// DCS, SOS, PM and APC up to their end, within a line; escapes of two and more characters (ECMA-48); line ends; the rest.
const TOKENS =
  /\x1b\[([0-9:;<=>?]*)([ -/]*)([@-~])|\x1b[\]PX^_][^\x07\x1b\r\n]*(?:\x07|\x1b\\)|\x1b(?:[ -/]+[0-~]|[0-OQ-WYZ\\`-~])|(\r+\n?)|([\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069])/g;
const UNFINISHED = /(?:\x1b(?:\[[0-9:;<=>?]*[ -/]*|[\]PX^_][^\x07\x1b\r\n]*\x1b?|[ -/]+)?|\r+)$/;
const LONGEST_UNFINISHED = 4096;

export interface LogText {
  take(bytes: Uint8Array): string;
  /** What is left when no byte will come. */
  end(): string;
}

/**
 * Turns the raw bytes of a log, in pieces as they come, into text that is safe to show: colours stay where they are
 * wanted, every other escape sequence goes, other control characters become visible, a lone CR becomes a new line.
 */
export function readLogText({ colours }: { colours: boolean }): LogText {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let held = "";
  const clean = (text: string) =>
    text.replace(
      TOKENS,
      (all, params?: string, between?: string, final?: string, lineEnd?: string, control?: string) => {
        if (lineEnd !== undefined) return "\n";
        if (control !== undefined) return visible(control);
        return colours && final === "m" && between === "" && /^[0-9:;]*$/.test(params ?? "") ? all : "";
      },
    );
  return {
    take(bytes) {
      const text = held + decoder.decode(bytes, { stream: true });
      const tail = UNFINISHED.exec(text.slice(-LONGEST_UNFINISHED))?.[0] ?? "";
      held = tail;
      return clean(text.slice(0, text.length - tail.length));
    },
    end() {
      const text = held + decoder.decode();
      held = "";
      return clean(text);
    },
  };
}

function visible(char: string): string {
  const code = char.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "␡" : `\\u{${code.toString(16)}}`;
}
