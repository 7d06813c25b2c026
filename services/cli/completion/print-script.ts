import type { Cli } from "../cli.ts";
import { usage } from "../exit-codes.ts";

const SCRIPTS: Record<string, string> = {
  bash: `_ritmo() {
  local IFS=$'\\n'
  COMPREPLY=($(ritmo __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _ritmo ritmo
`,
  zsh: `#compdef ritmo
_ritmo() {
  local -a found
  local line
  while IFS=$'\\t' read -r name about; do
    found+=("\${name//:/\\\\:}\${about:+:$about}")
  done < <(ritmo __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe ritmo found; else _files; fi
}
compdef _ritmo ritmo
`,
  fish: `function __ritmo_complete
  set -l words (commandline -opc) (commandline -ct)
  ritmo __complete -- $words[2..-1] 2>/dev/null
end
complete -c ritmo -a '(__ritmo_complete)'
`,
};

/** Prints the script that makes a shell ask `ritmo` what may come next. */
export async function printScript({ io }: Cli, _options: object, [shell = ""]: string[]): Promise<void> {
  if (!Object.hasOwn(SCRIPTS, shell))
    throw usage(`There is no completion for ${JSON.stringify(shell)}: bash, zsh or fish.`);
  await io.stdout.write(SCRIPTS[shell] ?? "");
}
