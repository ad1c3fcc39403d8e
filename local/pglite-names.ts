/**
 * Names of prepared statements and portals, made unique per connection: connections that share a
 * session would otherwise take each other's. Short on purpose, since Postgres cuts names at 63 bytes.
 */
import { cString, readCString, wireMessage } from "./wire-messages.ts";

export class ConnectionNames {
  #prefix: string;
  #statements = new Map<string, string>();
  #portals = new Map<string, string>();
  #made = 0;

  constructor(connectionNumber: number) {
    this.#prefix = `c${connectionNumber}_`;
  }

  /** The message with its names replaced by this connection's own. */
  rename(type: string, body: Buffer): Buffer {
    switch (type) {
      case "P": {
        const { text, next } = readCString(body, 0);
        return wireMessage(type, this.#own(this.#statements, text), body.subarray(next));
      }
      case "B": {
        const portal = readCString(body, 0);
        const statement = readCString(body, portal.next);
        return wireMessage(
          type,
          this.#own(this.#portals, portal.text),
          this.#own(this.#statements, statement.text),
          body.subarray(statement.next),
        );
      }
      case "E": {
        const { text, next } = readCString(body, 0);
        return wireMessage(type, this.#own(this.#portals, text), body.subarray(next));
      }
      case "D":
      case "C": {
        const names = body[0] === 0x53 ? this.#statements : this.#portals;
        const { text } = readCString(body, 1);
        const message = wireMessage(type, body.subarray(0, 1), this.#own(names, text));
        if (type === "C") names.delete(text);
        return message;
      }
      default:
        return wireMessage(type, body);
    }
  }

  /** Close messages for every statement this connection prepared and did not close. */
  closeStatements(): Buffer[] {
    return [...this.#statements.values()].map((name) => wireMessage("C", cString(`S${name}`)));
  }

  #own(names: Map<string, string>, name: string): Buffer {
    if (name === "") return cString("");
    let own = names.get(name);
    if (own === undefined) {
      own = `${this.#prefix}${++this.#made}`;
      names.set(name, own);
    }
    return cString(own);
  }
}
