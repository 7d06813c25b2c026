import { createHmac } from "node:crypto";

/** What the output says: bytes of the commands, or that the n-th boundary was passed. */
export type Piece = { kind: "bytes"; bytes: Buffer } | { kind: "boundary"; number: number };

/**
 * The words that the script says at its boundaries, one for each: at 0 the shell was found, at n the n-th entry
 * begins. Made from a key that only the worker's journal has; each counts once and in its turn.
 */
export function boundaryWords(key: string, count: number): string[] {
  return Array.from({ length: count }, (_, number) =>
    createHmac("sha256", key).update(String(number)).digest("hex").slice(0, 32),
  );
}

/**
 * Takes the words out of the output. Only the one that is next is looked for, so what the commands write stays as it
 * is. `rest` gives what is held back because it may be the beginning of a word.
 */
export function boundaryScanner(words: string[]): { scan(bytes: Buffer): Piece[]; rest(): Buffer } {
  const sought = words.map((word) => Buffer.from(word));
  let next = 0;
  let held: Buffer = Buffer.alloc(0);
  return {
    scan(piece) {
      const pieces: Piece[] = [];
      let bytes = held.length > 0 ? Buffer.concat([held, piece]) : piece;
      held = Buffer.alloc(0);
      const give = (part: Buffer) => {
        if (part.length > 0) pieces.push({ kind: "bytes", bytes: part });
      };
      for (;;) {
        const word = sought[next];
        if (!word) break;
        const at = bytes.indexOf(word);
        if (at < 0) break;
        give(bytes.subarray(0, at));
        pieces.push({ kind: "boundary", number: next++ });
        bytes = bytes.subarray(at + word.length);
      }
      const kept = overlap(bytes, sought[next]);
      give(bytes.subarray(0, bytes.length - kept));
      held = Buffer.from(bytes.subarray(bytes.length - kept));
      return pieces;
    },
    rest() {
      const last = held;
      held = Buffer.alloc(0);
      return last;
    },
  };
}

/** How many of the last bytes are the beginning of the word. */
function overlap(bytes: Buffer, word: Buffer | undefined): number {
  if (!word) return 0;
  for (let length = Math.min(bytes.length, word.length - 1); length > 0; length--) {
    if (bytes.subarray(bytes.length - length).equals(word.subarray(0, length))) return length;
  }
  return 0;
}
