import { requestCorpus } from "../conformance/request-corpus.ts";

/** The requests of the corpus that must be accepted, without those that lie at a limit already. */
export const requestSeeds: readonly string[] = requestCorpus
  .flatMap((family) => family.cases)
  .filter(({ want, bytes }) => Array.isArray(want) && bytes.length < 2_000 && bytes.split("\r\n").length < 60)
  .map(({ bytes }) => bytes);
