/** Runs the tasks of the hello workflow until it is told to stop. */
import { worker } from "@skein/sdk";
import { greet } from "./workflow.ts";

await worker({ workflows: [greet], slots: 10 }).start();
