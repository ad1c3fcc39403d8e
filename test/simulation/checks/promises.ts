/** Nothing accepted is lost, and everything that is accepted ends. */
import { isFinishedRun } from "../../../protocol/states.ts";
import { type Check, isSame } from "./check.ts";

export const everyRunEnds: Check = {
  name: "every accepted run ends",
  find: ({ history, recorded }) =>
    recorded.runs
      .filter(({ state }) => !isFinishedRun(state))
      .map(({ id, state, tasks }) => {
        const left = tasks.map((task) => `${history.names.task(task.id)} ${task.state}`).join(", ");
        return `${history.names.run(id)} is still ${state}: ${left}`;
      }),
};

export const everyClientIsAnswered: Check = {
  name: "every client is answered",
  find: ({ clients }) =>
    clients.filter(({ isDone }) => !isDone).map(({ name }) => `${name} still waits`),
};

export const nothingAcceptedIsLost: Check = {
  name: "nothing accepted is lost",
  find: ({ history, recorded, at }) => {
    const known = new Set(recorded.runs.map(({ id }) => id));
    return history.promised.flatMap(({ label, runs, at: moment }) =>
      runs
        .filter((run) => !known.has(run))
        .map((run) => `${label}: ${run} was accepted at ${at(moment)} and does not exist`),
    );
  },
};

export const oneWishIsOneRun: Check = {
  name: "one wish is one run",
  find: ({ history, recorded, rest }) => {
    const asked = recorded.runs.filter(({ parent }) => parent === null);
    const byLabel = Map.groupBy(asked, ({ metadata }) => metadata["label"] ?? "");
    const twice = [...byLabel].flatMap(([label, runs]) => {
      const byWorkflow = Map.groupBy(runs, ({ version }) => version);
      return [...byWorkflow.values()]
        .filter((same) => same.length > 1)
        .map(
          (same) => `${label} started ${same.map(({ id }) => history.names.run(id)).join(", ")}`,
        );
    });
    const answers = Map.groupBy(history.promised, ({ label }) => label);
    const contradictory = [...answers]
      .filter(([, given]) => given.some(({ runs }) => !isSame(runs, given[0]?.runs)))
      .map(([label, given]) => `${label} was answered ${JSON.stringify(given)}`);
    // Before every client is answered some runs are only on the way to being promised.
    const answered = rest === undefined ? [] : asked;
    const unasked = answered
      .filter(({ id }) => !history.promised.some(({ runs }) => runs.includes(id)))
      .map(({ id, metadata }) => `${history.names.run(id)} of ${metadata["label"]} is nobody's`);
    return [...twice, ...contradictory, ...unasked];
  },
};

export const clientsAreToldTheTruth: Check = {
  name: "clients are told what is recorded",
  find: ({ history, recorded }) => {
    const byId = new Map(recorded.runs.map((run) => [run.id, run]));
    const steps = new Map(
      recorded.steps
        .filter(({ kind }) => kind === "step")
        .map(({ version, step, name }) => [`${version}/${step}`, name]),
    );
    return history.told.flatMap(({ run: id, client, state, outputs }) => {
      const run = byId.get(id);
      if (run === undefined) return [];
      const completed = run.tasks.filter(
        ({ state: ended, step }) => ended === "completed" && steps.has(`${run.version}/${step}`),
      );
      const kept = Object.fromEntries(
        completed.map(({ step, output }) => [steps.get(`${run.version}/${step}`), output]),
      );
      if (state === run.state && isSame(outputs, kept)) return [];
      return [`${client} was told ${state} ${JSON.stringify(outputs)} of ${history.names.run(id)}`];
    });
  },
};

export const historyIsImmutable: Check = {
  name: "a finished run is never altered",
  find: ({ history, recorded }) =>
    recorded.runs.flatMap((run) => {
      const then = history.finished.get(run.id);
      if (then === undefined || isSame(then, run)) return [];
      return [
        `${history.names.run(run.id)} was ${JSON.stringify(then)}, is ${JSON.stringify(run)}`,
      ];
    }),
};
