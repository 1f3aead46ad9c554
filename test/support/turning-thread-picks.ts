/** A pick as a turning thread tells it: three words, in this order. */
export const PickWord = { turn: 0, wasOut: 1, row: 2, count: 3 } as const;
