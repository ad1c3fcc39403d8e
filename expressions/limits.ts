/**
 * Bounds of expressions that only this folder keeps. No expression may take a shard's or an
 * isolate's only thread for longer than about 50 ms, nor more of its 128 MB than it is worth.
 */

/** What the parser may build; it says so at the first thing beyond. */
export const PARSER_LIMITS = {
  maxAstNodes: 300, // a compiled one holds some 300 bytes for each
  maxDepth: 32, // checking and evaluating recurse
  maxListElements: 200,
  maxMapEntries: 50,
  maxCallArguments: 8,
};

/** Macros that walk a list (`all`, `exists`, `exists_one`, `map`, `filter`) in one expression. */
export const MAX_MACROS = 4; // more is a program: it belongs in a step

/** Such macros within each other: a third level is out of reach of `MAX_STEPS` for any real list. */
export const MAX_MACRO_NESTING = 2;

/** `cel.bind`s in one expression: each can double what the one before has built. */
export const MAX_BINDS = 4;

/**
 * Steps of one evaluation. A step is what an operation on one element or some 64 characters costs:
 * 0.3 µs at worst, so this is 30 ms at worst; a common evaluation takes none at all.
 */
export const MAX_STEPS = 100_000;

/** Compiled patterns kept; making one anew takes about 30 µs. */
export const MAX_PATTERNS = 100;

/** Bytes one compiled pattern may remember of the texts it has read, before it is made anew. */
export const MAX_PATTERN_BYTES = 256 * 1024; // 25 MB if every one of them is fed to burst

/** Characters of the line of source that an error shows. */
export const MAX_EXCERPT_WIDTH = 100;
