// `npm start`: Ritmo, all of it, on this machine.
import { goOnUnderPinnedNode, installWhatIsMissing } from "./install.mjs";

installWhatIsMissing();
goOnUnderPinnedNode("services/up/main.ts", process.argv.slice(2));
