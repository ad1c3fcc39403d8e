/**
 * Regular expressions, by RE2: no pattern can take more time than its size times its text's. The
 * library's own `matches` uses the platform's, which a short pattern can hang for hours.
 *
 * RE2 makes its automaton while it reads texts, and remembers it: the making is paid for step by
 * step, and what is remembered is bounded.
 */
import { RE2JS, RE2JSSyntaxException } from "@bufbuild/re2";

import type { Allowance } from "./allowance.ts";
import { Refusal } from "./errors.ts";
import { MAX_PATTERN_BYTES, MAX_PATTERNS } from "./limits.ts";

interface Pattern {
  compiled: RE2JS;
  /** Of the evaluation that it reads a text for. */
  allowance: Allowance;
  /** Since it was compiled; each may have become a transition that it remembers. */
  charactersRead: number;
}

/** To compile one instruction: it takes about 1 µs. */
const STEPS_PER_INSTRUCTION = 3;

/** Characters that the finished part of an automaton reads in one step. */
const CHARACTERS_PER_STEP = 8;

const INSTRUCTION_BYTES = 100;

/** A state has a slot for each ASCII character, and 4 bytes for each of its instructions. */
const STATE_BYTES = 1_100;

/** A transition on any other character is an entry of a map. */
const TRANSITION_BYTES = 40;

/** The least recently used first. */
const patterns = new Map<string, Pattern>();

/** Whether the text has a part that matches. Throws a `Refusal` when the pattern is not RE2. */
export function matchPattern(text: string, source: string, allowance: Allowance): boolean {
  const pattern = patterns.get(source) ?? compilePattern(source, allowance);
  allowance.spend(1 + text.length / CHARACTERS_PER_STEP);
  patterns.delete(source); // until it has shown that it is still small
  pattern.allowance = allowance;
  const isMatch = pattern.compiled.test(text);
  pattern.charactersRead += text.length;
  if (bytesOf(pattern) < MAX_PATTERN_BYTES) keep(source, pattern);
  return isMatch;
}

function bytesOf({ compiled, charactersRead }: Pattern): number {
  const { dfa, prog } = compiled.re2();
  const instructions = prog.numInst();
  return (
    instructions * INSTRUCTION_BYTES +
    dfa.stateCount * (STATE_BYTES + 4 * instructions) +
    charactersRead * TRANSITION_BYTES
  );
}

function keep(source: string, pattern: Pattern): void {
  patterns.set(source, pattern);
  const [oldest] = patterns.keys();
  if (patterns.size > MAX_PATTERNS && oldest !== undefined) patterns.delete(oldest);
}

/** Throws a `Refusal` when the pattern is not RE2, or too large for the allowance. */
export function compilePattern(source: string, allowance: Allowance): Pattern {
  allowance.spend(estimateInstructions(source) * STEPS_PER_INSTRUCTION);
  const pattern = { compiled: parse(source), allowance, charactersRead: 0 };
  meterAutomaton(pattern);
  return pattern;
}

function meterAutomaton(pattern: Pattern): void {
  const re2 = pattern.compiled.re2();
  const { dfa } = re2;
  const step = dfa.step.bind(dfa);
  dfa.step = (state, ...rest) => {
    pattern.allowance.spend(5 + state.nfaStates.length / 2);
    return step(state, ...rest);
  };
  // With too many states it would read on without them, at up to a millisecond a character.
  re2._nfaFallback = () => {
    throw new Refusal(
      "too_much_work",
      "A pattern has too many ways to match this text. Make its repeats less ambiguous.",
    );
  };
}

function parse(source: string): RE2JS {
  try {
    // Classes such as \pL are made on first use, for 50 to 100 ms each: there are two hundred.
    return new RE2JS(source, RE2JS.DISABLE_UNICODE_GROUPS);
  } catch (thrown) {
    // Not its message: that quotes the pattern, which may come from the data.
    const why = thrown instanceof RE2JSSyntaxException ? thrown.getDescription() : "not a pattern";
    throw new Refusal(
      "bad_pattern",
      `The pattern is not RE2: ${why}. RE2 has no look-around, no back-references, ` +
        "no repeats over 1000, and here no \\p classes.",
    );
  }
}

/** RE2 refuses a pattern whose nested repeats come to more. */
const MAX_REPEATS = 1_000;

/**
 * About the most instructions that the pattern can compile to. Repeats of groups may be within each
 * other, and multiply; those of single characters stand beside each other.
 */
function estimateInstructions(source: string): number {
  let groups = 1;
  let singles = 1;
  for (const [, before, least, most] of source.matchAll(/([^])\{(\d{1,5})(?:,(\d{0,5}))?\}/g)) {
    const count = Math.max(Number(least), Number(most || 0), 1);
    if (before === ")") groups *= count;
    else singles = Math.max(singles, count);
  }
  return (source.length + 1) * Math.min(groups * singles, MAX_REPEATS);
}
