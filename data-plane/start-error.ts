/** Why the node cannot start, in one line for the user. */
export class StartError extends Error {}
