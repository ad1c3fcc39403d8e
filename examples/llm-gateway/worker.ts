/**
 * One worker process of the gateway. The limits hold over all of them, however many there are. It takes
 * tasks until it is told to stop, or loses its parent.
 */
import { worker } from "@skein/sdk";
import { completion } from "./workflows.ts";

/** Requests that wait for the provider at once; more than the limits let through. */
const SLOTS = 100;

const gateway = worker({ workflows: [completion], slots: SLOTS, name: process.env["WORKER_NAME"] });

// A parent that was itself killed must leave no worker behind.
process.on("disconnect", () => process.exit(0));

await gateway.start();
process.send?.("connected");
await gateway.stopped;
process.removeAllListeners("disconnect");
if (process.connected) process.disconnect(); // The channel would keep this process alive.
