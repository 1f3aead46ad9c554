import { responseCorpus } from "../conformance/response-corpus.ts";

/** The answers of the corpus that must be delivered, without those that lie at a limit already. */
export const responseSeeds: readonly string[] = responseCorpus
  .flatMap((family) => family.cases)
  .filter(({ want, bytes }) => typeof want === "object" && bytes.length < 2_000 && bytes.split("\r\n").length < 60)
  .map(({ bytes }) => bytes);
