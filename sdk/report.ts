/** What a worker tells the people who run it: a few lines about its own life, never payloads. */

/** Takes one line about the worker's life. */
export type Report = (level: "info" | "warn" | "error", message: string) => void;

/** Lines on the console, errors and warnings apart. */
export const consoleReport: Report = (level, message) => {
  console[level](`skein: ${message}`);
};

export const noReport: Report = () => undefined;
