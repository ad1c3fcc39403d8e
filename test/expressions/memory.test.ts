/** What stays in memory once an expression has been compiled or evaluated: nothing that can grow. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeAll, describe, expect, test } from "vitest";
import { compileExpression } from "../../expressions/compile.ts";
import type { Json } from "../../protocol/json.ts";
import { answer, compile, VARIABLES } from "./evaluating.ts";

const MEGABYTE = 1024 * 1024;

let collectGarbage: () => void;

beforeAll(() => {
  setFlagsFromString("--expose-gc");
  collectGarbage = runInNewContext("gc") as () => void;
});

/** Bytes of heap that are in use after `run` and were not before it. */
function growth(run: () => void): number {
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  run();
  collectGarbage();
  return process.memoryUsage().heapUsed - before;
}

test("a compiled expression keeps nothing of the data it has read last", async () => {
  const condition = compile(
    "input.exists(x, x.n > 1) && cel.bind(y, input.map(z, z), y.size() > 1)",
    "bool",
  );
  const references = (() => {
    const input = [{ n: 1 }, { n: 2 }, { n: 3 }];
    expect(condition.matches({ input, other: null })).toEqual({ isMatch: true });
    return [new WeakRef(input), ...input.map((element) => new WeakRef(element))];
  })();
  await new Promise((resolve) => setImmediate(resolve)); // a turn lets go of what WeakRef has seen
  collectGarbage();
  expect(references.map((reference) => reference.deref())).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

describe("memory does not grow", () => {
  /** Another list of maps of lists for each number. */
  const shape = (number: number): Json =>
    [...number.toString(2)].reduce<Json>((value, bit) => (bit === "1" ? [value] : { k: value }), 1);

  let next = 1_000_000;

  test("with the shapes of the data", () => {
    const sum = compile("input == other || size(input) > 0 || input in [other]", "any");
    const grown = growth(() => {
      for (let i = 0; i < 2_000; i++) sum.evaluate({ input: shape(next++), other: shape(next++) });
    });
    expect(grown).toBeLessThan(2 * MEGABYTE);
  });

  test("with the shapes of literals", () => {
    const grown = growth(() => {
      for (let i = 0; i < 1_000; i++) answer(JSON.stringify(shape(next++)));
    });
    expect(grown).toBeLessThan(2 * MEGABYTE);
  });

  test("with the names that expressions make up", () => {
    const grown = growth(() => {
      for (let i = 0; i < 5_000; i++) answer(`f${next++}${"x".repeat(1_000)}(input)`);
    });
    expect(grown).toBeLessThan(2 * MEGABYTE);
  });

  test("with the texts that patterns have read", () => {
    const text = `x${String.fromCharCode(...Array.from({ length: 10_000 }, (_, i) => 0x4e_00 + i))}`;
    const grown = growth(() => {
      for (let i = 0; i < 80; i++)
        answer(`input.matches("x[^y]*[zw]{${(next++ % 800) + 1}}")`, text);
    });
    expect(grown).toBeLessThan(8 * MEGABYTE);
  });

  test("with the variables that compilations declare", () => {
    const grown = growth(() => {
      for (let i = 0; i < 300; i++) {
        compileExpression("input == 1", { variables: { ...VARIABLES }, result: "bool" });
      }
    });
    expect(grown).toBeLessThan(2 * MEGABYTE);
  });
});
