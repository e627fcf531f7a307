/** Prints a server's answer: protojson, or the lines that SPIRE prints. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import type { ServiceName } from '@bonafide/shared/rpc/services';

export interface PrintedMessage {
  readonly service: ServiceName;
  /** Full name, for example `spire.api.types.Bundle`. */
  readonly name: string;
  readonly message: object;
  readonly pretty: () => string;
}

export function printMessage(host: CommandHost, format: OutputFormat, printed: PrintedMessage): void {
  printAnswer(host, format, {
    json: () => protoJson(printed.service, printed.name, printed.message),
    pretty: printed.pretty,
  });
}
