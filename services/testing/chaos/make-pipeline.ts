import type { Random } from "./random.ts";

/** A pipeline of a few small steps, each of which writes down what it does before Ritmo can know of it. */
export function makePipeline(random: Random, witnessFolder: string): string {
  const count = random.between(1, 5);
  const steps = Array.from({ length: count }, (_, i) => {
    const needs = Array.from({ length: i }, (_, k) => `s${k}`).filter(() => random.chance(0.4));
    const exit = random.chance(0.1) ? random.between(1, 9) : 0;
    const artifact = random.chance(0.4);
    return [
      `  s${i}:`,
      "    checkout: false",
      `    needs: [${needs.join(", ")}]`,
      `    env: { W: "${witnessFolder}" }`,
      ...(artifact ? ["    artifacts: [out.bin]"] : []),
      "    run: |",
      ...script({ lines: random.between(1, 60), pause: random.pick(["0", "0.01", "0.03"]), exit, artifact }).map(
        (line) => `      ${line}`,
      ),
    ].join("\n");
  });
  return `version: 1\nsteps:\n${steps.join("\n")}\n`;
}

interface Script {
  lines: number;
  pause: string;
  exit: number;
  artifact: boolean;
}

function script({ lines, pause, exit, artifact }: Script): string[] {
  return [
    `w="$W/$RITMO_JOB#$RITMO_BUILD_NUMBER"`,
    `mkdir -p "$w"`,
    `w="$w/$RITMO_STEP@$RITMO_ATTEMPT"`,
    `echo "start $(date +%s%3N)" >> "$w.life"`,
    `for i in $(seq ${lines}); do`,
    `  line="$RITMO_STEP attempt $RITMO_ATTEMPT line $i"`,
    `  echo "$line" >> "$w.log"`,
    `  echo "$line"`,
    `  sleep ${pause}`,
    "done",
    ...(artifact
      ? [`head -c ${1000 + lines * 1000} /dev/urandom > out.bin`, `sha256sum < out.bin | cut -c1-64 > "$w.sha256"`]
      : []),
    `echo "end $(date +%s%3N) ${exit}" >> "$w.life"`,
    `exit ${exit}`,
  ];
}
