/** What creating and updating have in common: batches, and the report of what went well and what did not. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import type { JsonValue, OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type {
  FederationRelationship,
  FederationRelationship__Output,
} from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';
import type { Status__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Status';
import { printAndWait } from '../delivery/print-and-wait.js';
import type { WaitFlag } from '../delivery/wait-flag.js';
import { printMessage } from '../print-message.js';
import { statusName } from '../printed-words.js';
import type { ServerConnection } from '../server-connection.js';
import { federationText } from './federation-text.js';

interface RelationshipResult {
  readonly status: Status__Output | null;
  readonly federationRelationship: FederationRelationship__Output | null;
}

const BATCH_SIZE = 100;

const MESSAGES = {
  create: 'spire.api.server.trustdomain.v1.BatchCreateFederationRelationshipResponse',
  update: 'spire.api.server.trustdomain.v1.BatchUpdateFederationRelationshipResponse',
} as const;

interface Report {
  readonly server: ServerConnection;
  readonly host: CommandHost;
  readonly flags: WaitFlag & { readonly output: OutputFormat };
  readonly verb: keyof typeof MESSAGES;
}

/** @throws BonafideError after everything is printed, when one failed. */
export async function changeRelationships(
  relationships: readonly FederationRelationship[],
  report: Report,
  send: (batch: FederationRelationship[]) => Promise<readonly RelationshipResult[]>,
): Promise<void> {
  const { server, host, flags } = report;
  const results: RelationshipResult[] = [];
  for (let start = 0; start < relationships.length; start += BATCH_SIZE) {
    results.push(...(await send(relationships.slice(start, start + BATCH_SIZE))));
  }
  await printAndWait(server, host, flags, (delivery) => {
    reportRelationships(relationships, results, report, delivery);
  });
}

function reportRelationships(
  relationships: readonly FederationRelationship[],
  results: readonly RelationshipResult[],
  { host, flags: { output }, verb }: Report,
  delivery: JsonValue | undefined,
): void {
  printMessage(host, output, {
    service: 'spire.api.server.trustdomain.v1.TrustDomain',
    name: MESSAGES[verb],
    message: { results },
    delivery,
    pretty: () =>
      results
        .map(({ status, federationRelationship: made }) =>
          status?.code === 0 && made !== null ? `\n${federationText(made)}` : '',
        )
        .join(''),
  });
  const failed = results.flatMap(({ status }, index) => (status?.code === 0 ? [] : [{ status, index }]));
  if (failed.length === 0) return;
  if (output === 'pretty') {
    for (const { status, index } of failed) {
      // The server does not say which one it was; the order does.
      host.stderr.write(
        `Failed to ${verb} the following federation relationship (code: ${statusName(status?.code ?? 0)}, msg: ${JSON.stringify(status?.message ?? '')}):\n` +
          textOfSent(relationships[index]),
      );
    }
  }
  throw new BonafideError('aborted', `failed to ${verb} one or more federation relationships`);
}

function textOfSent(sent: FederationRelationship | undefined): string {
  if (sent === undefined) return '';
  const { trustDomain = '', bundleEndpointUrl = '', httpsWeb, httpsSpiffe } = sent;
  return federationText({
    trustDomain,
    bundleEndpointUrl,
    ...(httpsWeb && { httpsWeb: {} }),
    ...(httpsSpiffe && { httpsSpiffe: { endpointSpiffeId: httpsSpiffe.endpointSpiffeId ?? '' } }),
    trustDomainBundle: null,
  });
}
