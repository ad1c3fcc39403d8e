/**
 * What expressions over parsed JSON answer, wherever a CEL library is known to go wrong: missing
 * keys, numbers that are doubles, texts, times, fields of the prototype.
 */
import { describe, expect, test } from "vitest";
import type { Json } from "../../protocol/json.ts";
import { answer } from "./evaluating.ts";

const INPUT: Json = {
  status: "paid",
  amount: 100.5,
  count: 7,
  whole: 100,
  nothing: null,
  nums: [1, 2, 3],
  tags: ["vip", "new"],
  customer: { id: "c1", "e-mail": "a@example.com" },
  items: [{ sku: "x", qty: 2 }, { sku: "y" }],
  text: "héllo 👍 ünï",
  at: "2026-03-01T10:30:00.250Z",
};

/** Each expression, and what it answers for `INPUT`. */
function answers(cases: Record<string, Json>): void {
  test.each(Object.entries(cases))("%s", (source, expected) => {
    expect(answer(source, INPUT)).toEqual(expected);
  });
}

describe("a key that may be missing", () => {
  answers({
    "has(input.status)": true,
    "has(input.zzz)": false,
    "has(input.nothing)": true,
    '"nothing" in input': true,
    '"zzz" in input': false,
    "input.nothing == null": true,
    "input.zzz == 1": "error no_such_key",
    "input.zzz.deeper == 1": "error no_such_key",
    "input.tags[5]": "error no_such_key",
    'input.?zzz.orValue("none")': "none",
    'input.?status.orValue("none")': "paid",
    "input.tags[?5].hasValue()": false,
  });
});

describe("an error beside an answer", () => {
  answers({
    "true || input.zzz == 1": true,
    "input.zzz == 1 || true": true,
    "input.zzz == 1 && false": false,
    "input.zzz == 1 || false": "error no_such_key",
    "input.items.exists(i, i.qty == 2)": true,
    "input.items.all(i, i.qty == 3)": false,
    "input.items.exists(i, i.qty == 3)": "error no_such_key",
    "input.items.filter(i, has(i.qty)).size()": 1,
    "input.items.map(i, i.sku)": ["x", "y"],
  });
});

describe("a number of JSON, which is a double", () => {
  answers({
    "input.amount > 100": true,
    "input.whole == 100": true,
    "input.whole >= 100 && input.whole <= 100": true,
    "input.count in [1, 7]": true,
    "input.nums == [1, 2, 3]": true,
    "input.count + 1": 8,
    "1 + input.count": 8,
    "input.count - 1 == 6": true,
    "input.count * 2": 14,
    "input.count / 2": 3.5,
    "input.count % 2": 1,
    "input.nums[0] + input.nums[1]": 3,
    "1.0 == 1": true,
    "7 / 2": 3,
    "7 / 0": "error evaluation_failed",
    "9007199254740993 == 9007199254740992": false,
    "9223372036854775807 + 1": "error evaluation_failed",
    "-input.count": -7,
    "int(input.amount)": 100,
    "string(input.count)": "7",
    '"7" == input.count': false,
    "true == input.count": false,
  });
});

describe("a text", () => {
  answers({
    'input.status.contains("ai")': true,
    'input.status.startsWith("pa")': true,
    'input.status.endsWith("id")': true,
    'input.status.matches("^p.*d$")': true,
    'matches(input.status, "^x")': false,
    'input.count.matches("7")': "error type_error",
    'input.status.indexOf("i")': 2,
    "input.status.substring(1, 3)": "ai",
    "input.status.substring(9)": "error evaluation_failed",
    "input.status.charAt(0)": "p",
    "input.status.charAt(5)": "error evaluation_failed",
    'input.status.replace("p", "$&s")': "$&said",
    'input.status.replace("", "-", 2)': "-p-aid",
    "input.status.reverse()": "diap",
    '"a,b".split(",")': ["a", "b"],
    'input.tags.join("+")': "vip+new",
    "size(input.text)": 11,
    '"ÄbC".lowerAscii()': "Äbc",
    '"äbC".upperAscii()': "äBC",
    "'it\\'s'": "it's",
    '"\\u00e9" == "é"': true,
    "r'\\d'": "\\d",
    '"""two\nlines"""': "two\nlines",
    'input.customer["e-mail"]': "a@example.com",
  });
});

describe("a list or a map", () => {
  answers({
    "[1, 2, 3].exists(n, n > 2)": true,
    "input.nums.filter(n, n > 1).size()": 2,
    "input.nums.all(n, n > 0)": true,
    "input.nums.exists_one(n, n == 2)": true,
    "input.nums + [4]": [1, 2, 3, 4],
    "[].size()": 0,
    "input.nums == []": false,
    'input.customer == {"id": "c1", "e-mail": "a@example.com"}': true,
    '{"a": 1}.a': 1,
    '"id" in input.customer': true,
    "cel.bind(n, input.nums, n[0] + n[2])": 4,
    "input.nums[1.5]": "error no_such_key",
  });
});

describe("a time", () => {
  answers({
    'timestamp(input.at) > timestamp("2026-01-01T00:00:00Z")': true,
    "int(timestamp(input.at))": 1772361000,
    "string(timestamp(input.at))": "2026-03-01T10:30:00.25Z",
    'timestamp(input.at).getHours("America/New_York")': 5,
    "timestamp(input.at).getMilliseconds()": 250,
    'timestamp(input.at) + duration("1h") > timestamp(input.at)': true,
    'duration("1500ms").getMilliseconds()': 500,
    'duration("-1500ms").getMilliseconds()': -500,
    'string(duration("-1500ms"))': "-1.5s",
    'string(duration("1h30m"))': "5400s",
    'timestamp(input.at) - timestamp("2026-03-01T10:00:00Z")': "1800.25s",
    "timestamp(input.status)": "error evaluation_failed",
    'timestamp("2026-02-30T00:00:00Z")': "error bad_literal",
    'timestamp(input.at).getHours("Mars/Olympus")': "error evaluation_failed",
  });
  test("on a day that is not there is an error, also in the data", () => {
    expect(answer("timestamp(input)", "2026-02-30T00:00:00Z")).toBe("error evaluation_failed");
    expect(answer("timestamp(input)", "2024-02-29T00:00:00Z")).toBe("2024-02-29T00:00:00Z");
  });
});

describe("a field that JavaScript would have", () => {
  answers({
    "input.constructor": "error no_such_key",
    "input.__proto__": "error no_such_key",
    "input.toString": "error no_such_key",
    "input.tags.length": "error no_such_key",
    "has(input.constructor)": false,
    "has(input.toString)": false,
    '"constructor" in input': false,
    "constructor == 1": "error unknown_variable",
    "__proto__ == 1": "error syntax_error",
    '{"__proto__": 1}.size()': "error type_error",
    '{"constructor": 1}.size()': "error type_error",
  });

  test("is a field like any other where the data has it", () => {
    const car = JSON.parse('{"constructor":"Ferrari","driver":{"constructor":null,"name":"L"}}');
    expect(answer("input.constructor", car)).toBe("Ferrari");
    expect(answer('input["constructor"] == "Ferrari" && has(input.constructor)', car)).toBe(true);
    expect(answer("input.driver.name", car)).toBe("L");
    expect(answer('[input].exists(c, c.driver.name == "L")', car)).toBe(true);
    expect(answer("size(input) + size(input.driver)", car)).toBe(4);
    expect(answer("input == other", car, structuredClone(car))).toBe(true);
    expect(answer("input.__proto__", JSON.parse('{"__proto__":7}'))).toBe(7);
  });
});

test("a comment may end an expression", () => {
  expect(answer('input.status == "paid" // as agreed', INPUT)).toBe(true);
});
