/**
 * How another tenant tries each operation on the owner's schedule: a part of the isolation tests.
 */
import { expect } from "vitest";
import type { ProblemCode } from "../../protocol/errors.ts";
import type { World } from "../support/world.ts";
import { ask } from "./answers.ts";

interface Means {
  secret: string;
  /** Known only while tests run. */
  scheduleOf: () => string;
  otherOf: () => World;
  seesNothing: (path: string) => Promise<void>;
  isNotFound: (path: string, code: ProblemCode) => Promise<void>;
  isUnknown: (method: string, path: string, code: ProblemCode, body?: object) => Promise<void>;
}

export function scheduleAttempts({
  secret,
  scheduleOf,
  otherOf,
  seesNothing,
  isNotFound,
  isUnknown,
}: Means): Record<string, () => Promise<void>> {
  return {
    createSchedule: () =>
      isUnknown("POST", "/schedules", "workflow_not_found", { workflow: secret, cron: "@daily" }),
    createSchedules: () =>
      isUnknown("POST", "/schedules/bulk", "workflow_not_found", {
        schedules: [{ workflow: secret, cron: "@daily" }],
      }),
    previewSchedule: async () => {
      const { body } = await ask(otherOf(), "POST", "/schedules/preview", {
        cron: "@daily",
        count: 1,
      });
      expect(body).toEqual({ ticks: [expect.anything()] });
    },
    listSchedules: async () => {
      for (const query of ["", `?workflow=${secret}`, "?kind=cron"]) {
        await seesNothing(`/schedules${query}`);
      }
      await seesNothing(`/runs?scheduleId=${scheduleOf()}`);
    },
    readSchedule: () => isNotFound(`/schedules/${scheduleOf()}`, "schedule_not_found"),
    changeSchedule: () =>
      isUnknown("PATCH", `/schedules/${scheduleOf()}`, "schedule_not_found", { isEnabled: false }),
    deleteSchedule: () => isUnknown("DELETE", `/schedules/${scheduleOf()}`, "schedule_not_found"),
    deleteSchedules: async () => {
      const { body } = await ask(otherOf(), "POST", "/schedules/delete", { ids: [scheduleOf()] });
      expect(body).toEqual({ ids: [] });
    },
    triggerSchedule: () =>
      isUnknown("POST", `/schedules/${scheduleOf()}/trigger`, "schedule_not_found"),
  };
}
