// What people are told to type, to the letter and in order. The test runs it all; documents that show some of it
// are held to it, so that nobody is shown a command that was never run.

/** A second terminal beside `npm start`. The names in it are those of `ritmo sample`. */
export const COMMANDS = [
  "npx ritmo sample /tmp/hello.git",
  "npx ritmo job create hello --repo file:///tmp/hello.git",
  "npx ritmo build run hello --branch main --watch",
  "npx ritmo build run hello --branch broken --watch; echo $?",
  "npx ritmo build list --job hello --json id,number,state,commit",
  "npx ritmo build view hello#2",
  "npx ritmo build logs hello#2 --step test --raw > test.log",
  "npx ritmo artifact download hello#1 'dist/**' --to out",
  "npx ritmo worker list",
  "npx ritmo worker create w2 --labels gpu=true",
  "npx ritmo build run hello --branch gpu",
  "npx ritmo step explain hello#3/train",
  "npx ritmo pipeline lint .ritmo.yaml",
  'npx ritmo worker drain local --reason "kernel update"',
  "npx ritmo worker resume local",
  `npx ritmo api ritmo.build.v1.BuildService/GetBuild -d '{"name":"hello#1"}'`,
] as const;

/** The same server with tools that know nothing of Ritmo. */
export const CONTRACT = [
  "export RITMO_TOKEN=$(npx ritmo auth token)",
  "grpcurl -plaintext 127.0.0.1:7480 list",
  'grpcurl -plaintext -H "authorization: Bearer $RITMO_TOKEN" 127.0.0.1:7480 ritmo.build.v1.BuildService/ListBuilds',
  `curl -H "authorization: Bearer $RITMO_TOKEN" -H 'content-type: application/json' -d '{}' http://127.0.0.1:7480/ritmo.build.v1.BuildService/ListBuilds`,
  `npx buf curl --protocol connect -H "authorization: Bearer $RITMO_TOKEN" -d '{}' http://127.0.0.1:7480/ritmo.build.v1.BuildService/ListBuilds`,
  `timeout 5 npx buf curl --protocol connect -H "authorization: Bearer $RITMO_TOKEN" -d '{}' http://127.0.0.1:7480/ritmo.event.v1.EventService/Watch`,
] as const;

/** What a document shows after `$ `, without the remark behind it. */
export function commandsShownIn(markdown: string): string[] {
  return [...markdown.matchAll(/^```console\n([\s\S]*?)^```/gm)]
    .flatMap(([, block = ""]) => block.split("\n"))
    .filter((line) => line.startsWith("$ "))
    .map((line) =>
      line
        .slice(2)
        .replace(/\s{2,}# .*$/, "")
        .trim(),
    );
}
