/** Anything JSON can carry: what inputs, outputs, payloads and metadata are made of. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Flat text labels of a run or an event, to find it by. */
export type Metadata = Record<string, string>;
