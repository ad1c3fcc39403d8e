/**
 * The child's half of `child.ts`: opens what it is for, answers questions, and ends in order when
 * it is told to, gets SIGTERM, or its parent is gone. It must never outlive its parent.
 */
import type { ChildMessage, ParentMessage } from "./child.ts";

export interface Opened<Ready> {
  /** Told to the parent. */
  ready: Ready;
  answers?: Record<string, (argument: unknown) => Promise<unknown>>;
  close(): Promise<void>;
}

export interface Surroundings {
  log(line: string): void;
  /** For a part that can't go on: the child ends with code 1. */
  fail(error: Error): void;
}

const CLOSE_TIMEOUT_MS = 10_000;

export function serveParent<Options, Ready>(
  open: (options: Options, surroundings: Surroundings) => Promise<Opened<Ready>>,
): void {
  let opening: Promise<Opened<Ready>> | undefined;
  let isEnding = false;

  const send = (message: ChildMessage, sent?: () => void): void => {
    if (process.connected) process.send?.(message, undefined, {}, () => sent?.());
    else sent?.();
  };
  const end = async (code: number): Promise<void> => {
    if (isEnding) return;
    isEnding = true;
    setTimeout(() => process.exit(1), CLOSE_TIMEOUT_MS).unref();
    try {
      await (await opening)?.close();
    } catch (error) {
      console.error(error);
      code = 1;
    }
    process.exit(code);
  };
  const fail = (error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error);
    send({ kind: "failed", message }, () => void end(1));
  };
  const surroundings: Surroundings = {
    log: (line) => send({ kind: "log", line }),
    fail(error) {
      console.error(error.message);
      void end(1);
    },
  };

  process.on("message", (message: ParentMessage) => {
    if (message.kind === "stop") return void end(0);
    if (message.kind === "open") {
      opening = open(message.options as Options, surroundings);
      opening.then(({ ready }) => send({ kind: "ready", ready }), fail);
      return;
    }
    const { id, question, argument } = message;
    void (async () => {
      try {
        const ask = (await opening)?.answers?.[question];
        if (ask === undefined)
          throw new Error(`This part does not know the question "${question}".`);
        send({ kind: "answer", id, value: await ask(argument) });
      } catch (error) {
        send({
          kind: "refusal",
          id,
          message: error instanceof Error ? error.message : String(error),
        });
      }
    })();
  });
  process.on("disconnect", () => void end(0));
  process.on("SIGTERM", () => void end(0));
  // Ctrl-C is for the parent, which stops its parts in order.
  process.on("SIGINT", () => {});
  // With the parent gone nobody reads what is printed.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}
