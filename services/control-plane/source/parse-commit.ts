export interface CommitFacts {
  authorName: string;
  authorEmail: string;
  /** The whole message, at most 16 KiB of it; what is no text of its encoding is replaced. */
  message: string;
}

const MAX_MESSAGE_BYTES = 16 * 1024;

/** Reads a commit object as `git cat-file commit` prints it (gitformat: header lines, an empty line, the message). */
export function parseCommit(object: Buffer): CommitFacts {
  const end = object.indexOf("\n\n");
  const head = end < 0 ? object : object.subarray(0, end);
  const body = end < 0 ? Buffer.alloc(0) : object.subarray(end + 2);
  const decoder = decoderOf(/^encoding (\S+)$/m.exec(head.toString("latin1"))?.[1]);
  const author = /^author (.*?) ?<([^>\n]*)>/m.exec(decoder.decode(head));
  return {
    authorName: clean(author?.[1] ?? ""),
    authorEmail: clean(author?.[2] ?? ""),
    message: atMost(decoder.decode(body).replaceAll("\0", "\uFFFD")).trimEnd(),
  };
}

function decoderOf(encoding: string | undefined): TextDecoder {
  try {
    return new TextDecoder(encoding ?? "utf-8");
  } catch {
    return new TextDecoder();
  }
}

function clean(name: string): string {
  return name.replaceAll("\0", "\uFFFD").slice(0, 500);
}

/** Cuts text at a number of bytes of UTF-8, between characters. */
function atMost(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_MESSAGE_BYTES) return text;
  let end = MAX_MESSAGE_BYTES;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
