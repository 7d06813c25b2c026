import { answerAskpass } from "./answer-askpass.ts";

// The program that git runs for a user or a token. It reads the file itself, so that no token is in an argument, an
// environment or a file of git's.
const [prompt = "", credentialsFile = ""] = process.argv.slice(2);
const answer = answerAskpass(prompt, credentialsFile);
if (answer === undefined) process.exitCode = 1;
else process.stdout.write(`${answer}\n`);
