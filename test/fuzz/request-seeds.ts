import { requestCorpus } from "../conformance/request-corpus.ts";

const plain = requestCorpus
  .flatMap((family) => family.cases)
  .filter(({ want, bytes }) => Array.isArray(want) && bytes.length < 2_000 && bytes.split("\r\n").length < 60)
  .map(({ bytes }) => bytes);

/**
 * The requests of the corpus that must be accepted, without those that lie at a limit already; each as it is, and
 * with lines that travel on, since what is wrong with a line that stays here harms nobody.
 */
export const requestSeeds: readonly string[] = [
  ...plain,
  ...plain.map((bytes) => bytes.replace(/(?<= HTTP\/1\.[01]\r\n)/, "X-A: b\r\nX-C: d\r\n")),
];
