/** At least once, recorded once: attempts, their numbers, and what they are allowed to leave. */
import { HEARTBEAT_LIMIT_MS } from "../../../protocol/session.ts";
import { MAX_RESCUES } from "../../../protocol/limits.ts";
import { type Check, isFinishedTask, tasksOf } from "./check.ts";

/** Within so long a shard knows that a worker is lost, whatever happens to the shard meanwhile. */
const LOSS_NOTICED_MS = HEARTBEAT_LIMIT_MS + 15_000;

export const noAttemptRunsTwice: Check = {
  name: "no attempt is executed twice",
  find: ({ history, at }) =>
    [...Map.groupBy(history.ledger.executions, ({ label }) => label)]
      .filter(([, same]) => same.length > 1)
      .map(([label, same]) => {
        const runs = same.map(({ worker, startedAt }) => `${worker} at ${at(startedAt)}`);
        return `${label} ran on ${runs.join(" and on ")}`;
      }),
};

export const noTokenIsGivenTwice: Check = {
  name: "no fencing token is given twice, and they rise",
  find: ({ history: { said, names }, at }) => {
    const sent = said.filter(({ type }) => type === "task");
    return [...Map.groupBy(sent, ({ task }) => task).values()].flatMap((frames) =>
      frames.flatMap((frame, index) => {
        const before = frames[index - 1];
        if (before === undefined || before.attempt < frame.attempt) return [];
        return [
          `${names.attempt(frame)} was sent to ${frame.worker} at ${at(frame.at)}, after ` +
            `${names.attempt(before)} to ${before.worker} at ${at(before.at)}`,
        ];
      }),
    );
  },
};

export const attemptsHaveNoGaps: Check = {
  name: "every attempt of a task is in its history, once",
  find: (evidence) => {
    const { recorded, history } = evidence;
    const before = Map.groupBy(recorded.attempts, ({ task }) => task);
    return tasksOf(evidence).flatMap((task) => {
      // One that was skipped may have been lost before with its shard's memory; its end is no attempt.
      const isOwn =
        task.state === "cancelled"
          ? task.worker !== null
          : isFinishedTask(task.state) && task.state !== "skipped";
      const kept = (before.get(task.id) ?? []).map(({ attempt }) => attempt);
      const expected = Array.from(
        { length: isOwn ? task.attempt - 1 : task.attempt },
        (_, index) => index + 1,
      );
      if (kept.join() === expected.join()) return [];
      const name = history.names.task(task.id);
      return [`${name} has attempt ${task.attempt} and before it [${kept.join()}]`];
    });
  },
};

export const resultsAreReal: Check = {
  name: "a recorded result is what its attempt came to",
  find: (evidence) => {
    const { history } = evidence;
    return tasksOf(evidence).flatMap((task) => {
      const { id, attempt, state, error, output, startedAt, finishedAt } = task;
      const ran = history.ledger.of({ task: id, attempt });
      const name = history.names.attempt({ task: id, attempt });
      if (state === "completed") {
        const isReturned = ran.some(
          (run) =>
            run.ending === "returned" && JSON.stringify(run.output) === JSON.stringify(output),
        );
        return isReturned ? [] : [`${name} completed with ${JSON.stringify(output)}`];
      }
      if (state !== "failed") return [];
      if (error?.code === "handler_error") {
        return ran.some(({ ending }) => ending === "threw") ? [] : [`${name} failed, never threw`];
      }
      if (error?.code === "execution_timeout") {
        const ms = (finishedAt ?? 0) - (startedAt ?? 0);
        return ms >= task.plan.timeoutMs ? [] : [`${name} timed out after ${ms} ms`];
      }
      if (error?.code === "schedule_timeout") {
        const ms = (finishedAt ?? 0) - (task.queuedAt ?? 0);
        const isLate = ms >= (task.plan.scheduleTimeoutMs ?? Number.POSITIVE_INFINITY);
        return isLate ? [] : [`${name} expired after ${ms} ms in the queue`];
      }
      if (error?.code === "limit_held_by_parent") {
        return ran.length === 0 ? [] : [`${name} was refused and ran`];
      }
      if (error?.code === "worker_lost" && task.rescues >= MAX_RESCUES) return [];
      return [`${name} failed with ${JSON.stringify(error)}`];
    });
  },
};

export const onlyOverrunsTimeOut: Check = {
  name: "an attempt times out only while it runs",
  find: (evidence) => {
    const { history, workers, at } = evidence;
    return tasksOf(evidence).flatMap(({ id, attempt, error, finishedAt }) => {
      if (error?.code !== "execution_timeout" || finishedAt === null) return [];
      const [ran] = history.ledger.of({ task: id, attempt });
      const worker = workers.find(({ name }) => name === ran?.worker);
      const sent = history.said.find((frame) => frame.task === id && frame.attempt === attempt);
      // Without an execution it never arrived; one that has returned only waits to be heard.
      const lostAt = ran === undefined ? sent?.at : (ran.endedAt ?? worker?.diedAt);
      if (lostAt === undefined || finishedAt - lostAt <= LOSS_NOTICED_MS) return [];
      const name = history.names.attempt({ task: id, attempt });
      const what = ran?.endedAt === undefined ? "was lost" : "ended";
      return [`${name} ${what} at ${at(lostAt)} and timed out at ${at(finishedAt)}`];
    });
  },
};

export const nothingNewerRan: Check = {
  name: "no newer attempt than the recorded one was given out",
  find: (evidence) => {
    const { history, at } = evidence;
    return tasksOf(evidence).flatMap(({ id, attempt, state }) => {
      if (state !== "completed" && state !== "failed") return [];
      return history.said
        .filter((frame) => frame.type === "task" && frame.task === id && frame.attempt > attempt)
        .map((frame) => `${history.names.attempt(frame)} was sent at ${at(frame.at)}`);
    });
  },
};

export const standingEffectsAreRecorded: Check = {
  name: "the effect that stands is the recorded attempt's",
  find: (evidence) =>
    tasksOf(evidence).flatMap(({ id, attempt, state }) => {
      const { ledger, names } = evidence.history;
      const token = ledger.standing(id);
      if (state !== "completed" || token === attempt) return [];
      return [`${names.task(id)} completed with attempt ${attempt}, its effect is ${token}'s`];
    }),
};

export const answersAreTrue: Check = {
  name: "what a worker is told of its result is true",
  find: (evidence) => {
    const { history, at } = evidence;
    const tasks = new Map(tasksOf(evidence).map((task) => [task.id, task]));
    const failed = new Set(
      evidence.recorded.attempts
        .filter(({ outcome }) => outcome === "failed" || outcome === "put_back")
        .map((attempt) => history.names.attempt(attempt)),
    );
    return history.heard.flatMap((heard) => {
      const task = tasks.get(heard.task);
      const told = `${heard.worker} was told ${heard.type} of ${history.names.attempt(heard)}`;
      if (heard.type === "gone") return [`${told} at ${at(heard.at)}`];
      const isLast = task?.attempt === heard.attempt && isReported(task.state, task.error?.code);
      const isOurs = isLast || failed.has(history.names.attempt(heard));
      if (heard.type === "recorded" && !isOurs) {
        return [`${told} at ${at(heard.at)}, but it is ${task?.state} by ${task?.attempt}`];
      }
      if (heard.type === "stale" && isOurs) return [`${told} at ${at(heard.at)}, but it was used`];
      return [];
    });
  },
};

/** Whether a task ended by what its worker reported. */
function isReported(state: string, code: string | undefined): boolean {
  return state === "completed" || (state === "failed" && code === "handler_error");
}
