/** A line that a handler logged is kept as it was, at most once, with the attempt that wrote it. */
import type { Check } from "./check.ts";

export const linesAreTheirAttempts: Check = {
  name: "log lines are kept with the attempt that wrote them, once",
  find: ({ recorded, history }) =>
    recorded.lines.flatMap(({ task, attempt, number, message }) => {
      const label = history.names.attempt({ task, attempt });
      return message === `${label} ${number}` ? [] : [`${label} has line ${number}: "${message}"`];
    }),
};
