import type { RequestFamily } from "./conformance-case.ts";
import { acceptedChunks, acceptedLengths } from "./requests/accepted-bodies.ts";
import { acceptedFields, acceptedHopByHop, acceptedSpoofs, acceptedTraces } from "./requests/accepted-fields.ts";
import { acceptedHosts, acceptedLines } from "./requests/accepted-lines.ts";
import { acceptedTrailers } from "./requests/accepted-trailers.ts";
import { acceptedUpgrades } from "./requests/accepted-upgrades.ts";
import { incomplete, refusedChunks, refusedExtensions, refusedTrailers } from "./requests/refused-chunks.ts";
import { refusedExpectations, refusedFieldLines, refusedLimits, refusedProtocols } from "./requests/refused-fields.ts";
import { refusedCodings, refusedLengths, refusedPairs } from "./requests/refused-framing.ts";
import { refusedHosts, refusedRequestLines, refusedTargets } from "./requests/refused-lines.ts";
import { refusedPaths } from "./requests/refused-paths.ts";
import { rewrittenPaths } from "./requests/rewritten-paths.ts";

/** Every request that the engine is held to, by the rule that it is about. */
export const requestCorpus: readonly RequestFamily[] = [
  acceptedLines,
  acceptedHosts,
  acceptedFields,
  acceptedHopByHop,
  acceptedSpoofs,
  acceptedTraces,
  acceptedLengths,
  acceptedChunks,
  acceptedTrailers,
  acceptedUpgrades,
  rewrittenPaths,
  refusedLengths,
  refusedCodings,
  refusedPairs,
  refusedChunks,
  refusedExtensions,
  refusedTrailers,
  incomplete,
  refusedRequestLines,
  refusedTargets,
  refusedHosts,
  refusedFieldLines,
  refusedExpectations,
  refusedLimits,
  refusedProtocols,
  refusedPaths,
];
