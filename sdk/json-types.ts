/**
 * What TypeScript's values become once JSON has carried them. Only types: it must cost nothing when
 * the program runs, and little when it is checked.
 */

/**
 * The type of a step's output as its children and the client see it: a `Date` (anything with
 * `toJSON`) is what `toJSON` gives, nothing at all is null. Left as declared: what JSON can't carry
 * (functions, bigint), which fails the attempt, and `undefined` inside an array, which becomes null.
 */
export type StepOutput<Returned> =
  IsAny<Returned> extends true
    ? Returned
    : Returned extends undefined | void
      ? null
      : Carried<Returned>;

type Carried<Value> =
  IsAny<Value> extends true
    ? Value
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
