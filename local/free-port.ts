/** A free port of the loopback address, for what must know its port before it listens. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/** Somebody may take it before the caller does; then the caller's own start fails and says so. */
export async function freePort(): Promise<number> {
  return await listenBriefly(0);
}

/** Says plainly what a server's own error would say in its own words. */
export async function refuseTakenPort(port: number): Promise<void> {
  try {
    await listenBriefly(port);
  } catch (error) {
    throw new Error(
      `Port ${port} of 127.0.0.1 can't be used (${String(error)}). ` +
        "Stop what listens there, or give another with --port.",
      { cause: error },
    );
  }
}

async function listenBriefly(asked: number): Promise<number> {
  const server = createServer().listen(asked, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
