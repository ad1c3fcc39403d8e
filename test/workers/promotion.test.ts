/** Which runs a promoted version takes: its share of them, the same ones each time, and more as it rises. */
import { describe, expect, test } from "vitest";
import type { Json } from "../../protocol/json.ts";
import { isPromoted } from "../../workers/definitions/promotion.ts";

const VERSION = "0199f3a2-7c1e-7000-8a4b-5d6e7f800000";
const KEYS = Array.from({ length: 20_000 }, (_, n) => `key ${n}`);

function taken(share: number, version = VERSION): Set<string> {
  const nothing = { input: null, metadata: {} };
  return new Set(KEYS.filter((key) => isPromoted({ version, share }, nothing, key)));
}

describe("a promoted version", () => {
  test.each([0, 1, 500, 5_000, 9_999, 10_000])("takes %i of 10,000 runs", (share) => {
    const part = taken(share).size / KEYS.length;
    expect(Math.abs(part - share / 10_000)).toBeLessThan(0.012);
    if (share === 0 || share === 10_000) expect(part).toBe(share / 10_000);
  });

  test("keeps whom it has as its share rises", () => {
    const [few, more] = [taken(1_000), taken(2_500)];
    expect([...few].filter((key) => !more.has(key))).toEqual([]);
  });

  test("takes others than another version would: nobody is always the first", () => {
    const other = taken(1_000, VERSION.replace("0199", "0198"));
    const both = [...taken(1_000)].filter((key) => other.has(key)).length;
    expect(both / KEYS.length).toBeLessThan(0.02);
  });

  const at = (input: Json, otherwise: string): boolean[] =>
    // Enough versions to tell one key from another.
    Array.from({ length: 64 }, (_, n) =>
      isPromoted(
        { version: `${VERSION}${n}`, share: 5_000, key: ["input", "customer", "id"] },
        { input, metadata: {} },
        otherwise,
      ),
    );

  test.each([["acme"], [5], [-12], [true]])("goes by %j where its key is", (id) => {
    expect(at({ customer: { id } }, "one")).toEqual(at({ customer: { id } }, "two"));
    expect(at({ customer: { id } }, "one")).toEqual(at(null, String(id)));
  });

  test.each([
    [{ customer: { id: null } }],
    [{ customer: { id: 1.5 } }],
    [{ customer: { id: 1e21 } }],
    [{ customer: { id: ["acme"] } }],
    [{ customer: "acme" }],
    [["customer"]],
    ["customer"],
    [null],
  ])("goes by the run itself where there is no key: %j", (input) => {
    expect(at(input, "one")).toEqual(at(null, "one"));
    expect(at(input, "one")).not.toEqual(at(input, "two"));
  });

  test("looks at what is an input's own only", () => {
    const key = ["input", "constructor", "name"];
    const run = { input: {}, metadata: {} };
    expect(isPromoted({ version: VERSION, share: 5_000, key }, run, "a")).toBe(
      isPromoted({ version: VERSION, share: 5_000 }, run, "a"),
    );
  });
});
