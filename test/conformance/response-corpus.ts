import type { ResponseFamily } from "./response-case.ts";
import { hostileBodies, hostileFraming, hostileHeads } from "./responses/hostile-answers.ts";
import {
  legalBodies,
  legalForOldClients,
  legalHeads,
  legalHeadThenMore,
  legalInterim,
  legalThenMore,
  legalWithoutBody,
} from "./responses/legal-answers.ts";

/** Every answer of a target that the engine is held to, by the rule that it is about. */
export const responseCorpus: readonly ResponseFamily[] = [
  legalBodies,
  legalForOldClients,
  legalWithoutBody,
  legalHeads,
  legalInterim,
  legalThenMore,
  legalHeadThenMore,
  hostileFraming,
  hostileHeads,
  hostileBodies,
];
