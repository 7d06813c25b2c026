import { credentialFor, readGitCredentials } from "./read-git-credentials.ts";

/**
 * What git's askpass is to print for a prompt of git's: the user or the token of the very host that the prompt names
 * (gitcredentials(7)), so that neither a redirect nor a submodule elsewhere is ever shown another host's token.
 * Undefined: there is none.
 */
export function answerAskpass(prompt: string, credentialsFile: string): string | undefined {
  const asked = /^(Username|Password) for '(https?:\/\/.*)':? ?$/.exec(prompt);
  if (!asked?.[2]) return undefined;
  const credential = credentialFor(readGitCredentials(credentialsFile), "https", new URL(asked[2]).host);
  if (credential?.kind !== "https") return undefined;
  return asked[1] === "Username" ? credential.user : credential.token;
}
