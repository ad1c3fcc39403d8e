/** What a step passes before it runs: nobody runs what is skipped, and nothing that comes in time is missed. */
import { timeOfId } from "../../../protocol/ids.ts";
import { stepPlan } from "../scenario.ts";
import { type Check, type Evidence, type TaskOfStep, tasksOf } from "./check.ts";
import type { GatePlan } from "../gate-plans.ts";
import type { RecordedEvent, RecordedWait } from "../record.ts";

interface GatedTask {
  task: TaskOfStep;
  gate: GatePlan;
  wait: RecordedWait | undefined;
}

function gatedTasks(evidence: Evidence): GatedTask[] {
  const waits = new Map(evidence.recorded.waits.map((wait) => [wait.task, wait]));
  return tasksOf(evidence).flatMap((task) => {
    const [workflow = ""] = task.plan.action.split(":");
    const gate =
      task.plan.kind === "step"
        ? stepPlan(evidence.scenario.workflows, workflow, task.plan.name)?.gate
        : undefined;
    return gate === undefined ? [] : [{ task, gate, wait: waits.get(task.id) }];
  });
}

export const skipsAreAsPlanned: Check = {
  name: "what is skipped runs nowhere, and only what is to be skipped is",
  find: (evidence) => {
    const { history } = evidence;
    const gates = new Map(gatedTasks(evidence).map((gated) => [gated.task.id, gated]));
    const ran = new Set(history.ledger.executions.map(({ task }) => task));
    return tasksOf(evidence).flatMap((task) => {
      const { gate, wait } = gates.get(task.id) ?? {};
      const name = history.names.task(task.id);
      if (task.state === "skipped") {
        const isPlanned =
          gate?.kind === "skips" ||
          (gate?.kind === "waits" && gate.isSkipped && wait?.isMet === false);
        if (ran.has(task.id)) return [`${name} is skipped, and ran`];
        return isPlanned ? [] : [`${name} is skipped for nothing`];
      }
      return gate?.kind === "skips" && ran.has(task.id)
        ? [`${name} ran, and is to be skipped`]
        : [];
    });
  },
};

export const waitsAreKept: Check = {
  name: "nothing runs before what it waits for has come, or its time is over",
  find: (evidence) => {
    const { history, at } = evidence;
    const gates = new Map(gatedTasks(evidence).map((gated) => [gated.task.id, gated]));
    return history.ledger.executions.flatMap(({ task, startedAt, label }) => {
      const { gate, wait } = gates.get(task) ?? {};
      if (gate?.kind !== "sleeps" && gate?.kind !== "waits") return [];
      const until =
        wait === undefined || wait.endedAt === null
          ? Number.POSITIVE_INFINITY
          : gate.kind === "sleeps"
            ? wait.beganAt + gate.ms
            : wait.isMet === true
              ? wait.endedAt
              : wait.beganAt + gate.timeoutMs;
      return startedAt >= until ? [] : [`${label} started at ${at(startedAt)}, not after ${until}`];
    });
  },
};

export const eventsInTimeCount: Check = {
  name: "an event that was accepted in time is not missed by a wait, and no other ends it",
  find: (evidence) => {
    const { history, recorded, at } = evidence;
    return gatedTasks(evidence).flatMap(({ task, gate, wait }) => {
      if (gate.kind !== "waits" || wait?.isMet === undefined || wait.isMet === null) return [];
      const since = wait.beganAt - gate.withinMs;
      const events = recorded.events.filter(({ key }) => key === gate.event);
      const isMeant = ({ id }: RecordedEvent): boolean =>
        gate.withinMs > 0 ? timeOfId(id) >= since : id > task.run;
      const name = history.names.task(task.id);
      if (wait.isMet) {
        const isReal = wait.events.every((id) =>
          events.some((one) => one.id === id && isMeant(one)),
        );
        return isReal ? [] : [`${name} was ended by ${wait.events.join(", ")}`];
      }
      // Until it began an event may have been looked at already, unless it looks back.
      const from = gate.withinMs > 0 ? since + 1 : wait.beganAt + 1;
      const missed = events.find(
        (event) =>
          timeOfId(event.id) >= from &&
          isMeant(event) &&
          acceptedAt(event, evidence) < wait.beganAt + gate.timeoutMs,
      );
      if (missed === undefined) return [];
      return [`${name} waited from ${at(wait.beganAt)} and missed ${missed.id} of ${missed.label}`];
    });
  },
};

/** When the first client was told that the event is stored. */
function acceptedAt({ label }: RecordedEvent, { history }: Evidence): number {
  const answers = history.promised.filter((promised) => promised.label === label);
  return Math.min(Number.POSITIVE_INFINITY, ...answers.map(({ at }) => at));
}
