/** What a refill asks for, of which lanes. */
import { expect, test } from "vitest";
import type { LaneRow } from "../../database/rows.ts";
import { Backlog } from "../../durable-objects/dispatcher/backlog.ts";
import { MAX_LANE, MAX_TAKE, MIN_LANE_TAKE } from "../../durable-objects/dispatcher/limits.ts";
import { ReadyWindow } from "../../durable-objects/dispatcher/window.ts";

/** So many lanes that have tasks in the queue, and none in memory. */
function backlogOf(count: number): { backlog: Backlog; lanes: LaneRow[] } {
  const backlog = new Backlog(new ReadyWindow());
  const lanes = Array.from({ length: count }, (_, index) => ({ action: "a", lane: index + 1 }));
  for (const lane of lanes) backlog.note(lane);
  return { backlog, lanes };
}

const all = (): boolean => true;

test("a refill of few lanes fills each", () => {
  const { backlog, lanes } = backlogOf(3);
  expect(backlog.demand(all)).toEqual(lanes.map((lane) => ({ ...lane, n: MAX_LANE })));
});

test("a refill of many lanes asks for some of each, and never for more than it may bring", () => {
  const { backlog, lanes } = backlogOf(100);
  const demand = backlog.demand(all);
  expect(demand.map(({ lane }) => lane)).toEqual(lanes.map(({ lane }) => lane));
  expect(demand.reduce((sum, { n }) => sum + n, 0)).toBeLessThanOrEqual(MAX_TAKE);
});

test("more lanes than one refill serves are served one refill after the other, none left out", () => {
  const { backlog, lanes } = backlogOf(1_000);
  const served: number[] = [];
  for (let demand = backlog.demand(all); demand.length > 0; demand = backlog.demand(all)) {
    expect(demand).toHaveLength(MAX_TAKE / MIN_LANE_TAKE);
    served.push(...demand.map(({ lane }) => lane));
  }
  expect(served).toEqual(lanes.map(({ lane }) => lane));
});

test("a lane that a refill had no room for is asked for by the next", () => {
  const { backlog, lanes } = backlogOf(MAX_TAKE / MIN_LANE_TAKE + 1);
  const demand = backlog.demand(all);
  backlog.taken(demand, []);
  expect(backlog.demand(all)).toMatchObject([lanes.at(-1)]);
});
