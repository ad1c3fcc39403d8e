/** One text for one meaning. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson, checksumOf } from "../../workers/definitions/canonical-json.ts";

test("keys are sorted at every depth, by code unit, and nothing else is moved", () => {
  const value = { b: [3, 1, { z: null, a: true }], a: "é", B: 1.5, "10": 0, "9": 0 };
  expect(canonicalJson(value)).toBe('{"10":0,"9":0,"B":1.5,"a":"é","b":[3,1,{"a":true,"z":null}]}');
});

test("a field that is undefined is as if it were not there", () => {
  expect(canonicalJson({ a: 1, b: undefined })).toBe('{"a":1}');
});

test("the text means what the value means, whatever the order of its keys", () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== "object" || value === null) return value;
    const members = Object.entries(value).map(([key, member]) => [key, shuffled(member)] as const);
    return Object.fromEntries(members.toReversed());
  };
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const text = canonicalJson(value);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(canonicalJson(shuffled(value))).toBe(text);
    }),
  );
});

test("a checksum is SHA-256 of that text, in hex", async () => {
  expect(await checksumOf({})).toBe(
    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
  );
  expect(await checksumOf({ a: 1, b: 2 })).toBe(await checksumOf({ b: 2, a: 1 }));
  expect(await checksumOf({ a: [1, 2] })).not.toBe(await checksumOf({ a: [2, 1] }));
});
