/** Every limit and time of the hub, each with its default below. */
export interface StreamHubSettings {
  /** Changes that follow a push wait until none came for this long ... */
  readonly coalesceMs: number;
  /** ... but no longer than this. */
  readonly coalesceMaxMs: number;
  /** So long at most, and a step, publications are made in one go. */
  readonly sliceMs: number;
  /** A node that acks within this keeps up. */
  readonly keepUpMs: number;
  readonly helloTimeoutMs: number;
  /** Jittered by a fifth both ways. */
  readonly heartbeatMs: number;
  /** A reader that takes nothing for this long lets others send. */
  readonly stallMs: number;
  /** Whole snapshots being sent at a time, and as many large deltas. */
  readonly senderMaxCount: number;
  /** Nodes remembered, connected or not. */
  readonly nodeMaxCount: number;
  /** A node that has been behind, or away, for longer is stale. */
  readonly staleAfterMs: number;
  /** A node that has been away for longer is forgotten. */
  readonly forgetAfterMs: number;
  /** Past publications that deltas begin from, and whose hash and revision stay known. */
  readonly recentMaxCount: number;
  /** Resources that changed in them, all together; some 150 bytes each. */
  readonly recentChangeMaxCount: number;
  /** How long the past of a subset without nodes is kept. */
  readonly subsetGraceMs: number;
  /** Nodes let in per second, and as many at once; the others are told when to come again. */
  readonly helloMaxPerSecond: number;
  /** How long what a node sees counts after its stream has closed. */
  readonly viewGraceMs: number;
  /** Endpoints seen, of all nodes together; some 400 bytes each. */
  readonly viewMaxCount: number;
  /** Endpoints whose traffic is told of, of all nodes together; some 850 bytes each. */
  readonly trafficMaxCount: number;
  /** Writes that wait for nodes at a time. */
  readonly waitMaxCount: number;
}

export const STREAM_HUB_DEFAULTS: StreamHubSettings = {
  coalesceMs: 50,
  coalesceMaxMs: 250,
  sliceMs: 5,
  keepUpMs: 1_000,
  helloTimeoutMs: 10_000,
  heartbeatMs: 10_000,
  stallMs: 1_000,
  senderMaxCount: 64,
  nodeMaxCount: 10_000,
  staleAfterMs: 30_000,
  // As Kong does.
  forgetAfterMs: 14 * 24 * 60 * 60 * 1_000,
  recentMaxCount: 1_000,
  recentChangeMaxCount: 100_000,
  subsetGraceMs: 300_000,
  helloMaxPerSecond: 200,
  viewGraceMs: 30_000,
  viewMaxCount: 200_000,
  trafficMaxCount: 100_000,
  waitMaxCount: 10_000,
};
