/**
 * One worker process of the demonstration. It takes tasks of both workflows until it is told to
 * stop, loses its parent, or is killed; a killed one needs no clean-up of its own.
 */
import { worker } from "@skein/sdk";
import { githubDigest, githubTriage } from "./workflows.ts";

/** Tasks at once: each mostly waits for the book. */
const SLOTS = 20;

const triageWorker = worker({
  workflows: [githubTriage, githubDigest],
  slots: SLOTS,
  name: process.env["WORKER_NAME"],
});

// A demonstration that was itself killed must leave no worker behind.
process.on("disconnect", () => process.exit(0));

await triageWorker.start();
process.send?.("connected");
await triageWorker.stopped;
process.removeAllListeners("disconnect");
if (process.connected) process.disconnect(); // The channel would keep this process alive.
