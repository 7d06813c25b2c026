/** What a branch of the sample holds, path by path, and the commit that says so. */
export interface SampleBranch {
  name: string;
  /** The branch it grows from; none: a history of its own. */
  from?: string;
  message: string;
  files: Record<string, string>;
}

const COMPILE = `#!/bin/sh
# Makes dist/hello, a program, of the sources: no compiler and no network needed.
set -e
echo "compiling $(wc -l < src/names.txt | tr -d ' ') names"
mkdir -p dist
{
  echo '#!/bin/sh'
  while read -r name; do
    sed "s/@NAME@/$name/" src/greet.in
  done < src/names.txt
} > dist/hello
chmod 755 dist/hello
cksum dist/hello > dist/hello.cksum
echo "made dist/hello, $(wc -c < dist/hello | tr -d ' ') bytes"
`;

const TEST = `#!/bin/sh
# Runs what compile made and compares it with what is expected, name by name.
failed=0
number=0
./dist/hello > greetings.txt
while read -r name; do
  number=$((number + 1))
  if grep -qx "Hello, $name!" greetings.txt; then
    echo "ok $number - $name is greeted"
  else
    echo "not ok $number - $name is greeted"
    echo "error: expected \\"Hello, $name!\\", got \\"$(sed -n "\${number}p" greetings.txt)\\"" >&2
    failed=$((failed + 1))
  fi
done < src/names.txt
echo "$number tests, $failed failed"
[ "$failed" -eq 0 ] || exit 3
`;

const PIPELINE = `version: 1

steps:
  compile:
    run: sh compile.sh
    artifacts: ["dist/**"]

  test:
    needs: [compile]
    inputs: [{ artifacts: compile }]
    run: sh test.sh
    timeout: 5m
`;

const GPU_PIPELINE = `version: 1

steps:
  train:
    requires: { gpu: "true" }
    run: echo "training on $(uname -n)"
`;

/** The three branches: `main` passes, `broken` fails in `test` with exit code 3, `gpu` waits for a label. */
export const SAMPLE_BRANCHES: SampleBranch[] = [
  {
    name: "main",
    message: "Greet everybody\n\ncompile makes dist/hello, test runs it.\n",
    files: {
      ".ritmo.yaml": PIPELINE,
      "README.md": "# hello\n\nA small project that Ritmo can build anywhere: plain sh, no network.\n",
      "compile.sh": COMPILE,
      "src/greet.in": 'echo "Hello, @NAME@!"\n',
      "src/names.txt": "Ada\nGrace\nEdsger\n",
      "test.sh": TEST,
    },
  },
  {
    name: "broken",
    from: "main",
    message: "Greet more briefly\n\nNobody told the tests.\n",
    files: { "src/greet.in": 'echo "Hi, @NAME@!"\n' },
  },
  {
    name: "gpu",
    from: "main",
    message: "Train on a worker that has a GPU\n",
    files: { ".ritmo.yaml": GPU_PIPELINE },
  },
];
