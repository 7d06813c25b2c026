/** Why Ritmo can't start here, in one line with the way out. */
export class UpProblem extends Error {
  override readonly name = "UpProblem";
}
