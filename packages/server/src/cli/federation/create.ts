/** `federation create`: federates with other trust domains: their bundles are fetched from then on. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { changeRelationships } from './change-relationships.js';
import {
  addRelationshipFlags,
  relationshipsFromFlags,
  type RelationshipFlags,
} from './relationship-flags.js';

interface CreateFlags extends RelationshipFlags, ServerFlags, WaitFlag {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.trustdomain.v1.TrustDomain';

export function federationCreate(command: Command, host: CommandHost): void {
  addRelationshipFlags(command).addOption(waitOption()).addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server federation create --trust-domain other.example --bundle-endpoint-url https://other.example:8443 --bundle-endpoint-profile https_spiffe --endpoint-spiffe-id spiffe://other.example/spire/server',
    'bonafide-server federation create --trust-domain other.example --bundle-endpoint-url https://other.example/bundle --bundle-endpoint-profile https_web',
    'bonafide-server federation create --data relationships.json',
  ]).action(async (flags: CreateFlags) => {
    const relationships = await relationshipsFromFlags(flags, host);
    await withServer(flags, host, (server) =>
      changeRelationships(relationships, { server, host, flags, verb: 'create' }, async (batch) => {
        const request = { federationRelationships: batch };
        return (await server.call(SERVICE, 'batchCreateFederationRelationship', request)).results;
      }),
    );
  });
}
