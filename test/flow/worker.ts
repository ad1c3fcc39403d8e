/**
 * A worker process of the stories. Says `ready` to its parent once it is connected.
 */
import { worker } from "../../sdk/index.ts";
import { broken, counted } from "./workflows.ts";

const slots = Number(process.env["SLOTS"] ?? 20);
const made = worker({ workflows: [counted, broken], slots, log: false });
await made.start();
process.send?.("ready");
await made.stopped;
process.disconnect();
