/** A program that starts a database, tells its pid, and stays until it is killed. */
import { startDatabase } from "../../local/database.ts";

const { pid } = await startDatabase({ directory: process.argv[2] ?? "" });
process.send?.(pid);
