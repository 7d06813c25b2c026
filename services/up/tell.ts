import { styleText } from "node:util";
import { showPath } from "./show-path.ts";

/** What `ritmo up` says to people; colours only where the terminal shows them. */
export interface Tell {
  /** A part came up. */
  started(what: string, tookMs: number): void;
  /** Something happened that a person should know, in one line. */
  line(text: string): void;
  ready(about: Ready): void;
}

export interface Ready {
  url: string;
  setupCode: string;
  dataDir: string;
  tookMs: number;
  sampleLoaded: boolean;
  /** Set where the command line has to be told which server is meant. */
  context: string | undefined;
}

export function openTell(out: NodeJS.WriteStream): Tell {
  const paint = (style: Parameters<typeof styleText>[0], text: string) => styleText(style, text, { stream: out });
  const write = (text: string) => out.write(`${text}\n`);
  return {
    started(what, tookMs) {
      write(`  ${paint("green", "✓")} ${what.padEnd(16)} ${paint("dim", seconds(tookMs))}`);
    },
    line(text) {
      write(`  ${paint("yellow", "!")} ${text}`);
    },
    ready(about) {
      const { url, setupCode, dataDir, tookMs } = about;
      write("");
      write(`  ${paint("bold", "Ritmo is ready")} ${paint("dim", `in ${seconds(tookMs)}`)}   ${paint("cyan", url)}`);
      write(`  Sign in, once, within 15 minutes   ${paint("cyan", `${url}/#code=${setupCode}`)}`);
      write("");
      write("  In a second terminal:");
      for (const [command, what] of commands(about)) write(`    ${command.padEnd(44)} ${paint("dim", what)}`);
      write("");
      write(paint("dim", `  Everything is kept in ${showPath(dataDir)}. Ctrl-C stops it all.`));
    },
  };
}

function commands({ sampleLoaded, context }: Ready): [command: string, what: string][] {
  const which = context === undefined ? "" : ` --context ${context}`;
  if (sampleLoaded) {
    return [
      [`npx ritmo build watch sample#1${which}`, "the sample's first build"],
      [`npx ritmo build run sample --watch${which}`, "another one, its log as it comes"],
      [`npx ritmo worker list${which}`, "who builds"],
    ];
  }
  return [
    [`npx ritmo build list${which}`, "what was built"],
    [`npx ritmo job list${which}`, "what can be built"],
    [`npx ritmo worker list${which}`, "who builds"],
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
