/**
 * What TypeScript's values become once JSON has carried them. Only types: it must cost nothing when
 * the program runs, and little when it is checked.
 */
import type { Json } from "../protocol/json.ts";

/**
 * The type of a step's output as its children and the client see it: a `Date` (anything with
 * `toJSON`) is what `toJSON` gives, nothing at all is null. Left as declared: what JSON can't carry
 * (functions, bigint), which fails the attempt, and `undefined` inside an array, which becomes null.
 */
export type StepOutput<Returned> =
  IsAny<Returned> extends true
    ? Returned
    : IsJson<Returned> extends true
      ? Json
      : Returned extends undefined | void
        ? null
        : Carried<Returned>;

type Carried<Value> =
  IsAny<Value> extends true
    ? Value
    : IsJson<Value> extends true // it stays what it is, and has no end that could be looked for
      ? Json
      : Value extends string | number | boolean | null | undefined
        ? Value
        : Value extends { toJSON(...rest: never[]): infer Converted }
          ? Carried<Converted>
          : Value extends (...rest: never[]) => unknown
            ? Value
            : Value extends object
              ? { [Key in keyof Value]: Carried<Value[Key]> }
              : Value;

type IsAny<Type> = 0 extends 1 & Type ? true : false;

/** Whether it may be any JSON, but not anything at all. */
type IsJson<Type> = unknown extends Type ? false : Json extends Type ? true : false;
