/** Prints a server's answer: protojson, or the lines that SPIRE prints. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { printAnswer, type JsonValue, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import type { ServiceName } from '@bonafide/shared/rpc/services';

export interface PrintedMessage {
  readonly service: ServiceName;
  /** Full name, for example `spire.api.types.Bundle`. */
  readonly name: string;
  readonly message: object;
  /** Beside the message's own fields in JSON. */
  readonly delivery?: JsonValue | undefined;
  readonly more?: Readonly<Record<string, JsonValue>> | undefined;
  readonly pretty: () => string;
}

export function printMessage(host: CommandHost, format: OutputFormat, printed: PrintedMessage): void {
  printAnswer(host, format, {
    json: () => {
      const message = protoJson(printed.service, printed.name, printed.message);
      const { delivery, more } = printed;
      if (delivery === undefined && more === undefined) return message;
      return { ...(message as object), ...(delivery === undefined ? {} : { delivery }), ...more };
    },
    pretty: printed.pretty,
  });
}
