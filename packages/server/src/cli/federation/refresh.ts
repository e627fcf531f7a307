/** `federation refresh`: fetches the bundle of a trust domain now, and says how that went. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { trustDomainOption } from '../bundle/bundle-format.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface RefreshFlags extends ServerFlags {
  readonly id?: TrustDomain;
  readonly output: OutputFormat;
}

export function federationRefresh(command: Command, host: CommandHost): void {
  command.addOption(trustDomainOption('trust domain whose bundle is fetched')).addOption(outputOption());
  addServerFlags(command);
  addExamples(command, ['bonafide-server federation refresh --id other.example']).action(
    async ({ id, output, ...flags }: RefreshFlags) => {
      if (id === undefined) throw invalidArgument('id is required; add --id, for example other.example');
      await withServer(flags, host, (server) =>
        server.call('spire.api.server.trustdomain.v1.TrustDomain', 'refreshBundle', { trustDomain: id }),
      ).catch((error: unknown) => {
        if (!hasReason(error, 'not_found')) throw error;
        const message = `there is no federation relationship with trust domain ${JSON.stringify(id)}`;
        throw new BonafideError('not_found', message, { cause: error });
      });
      printAnswer(host, output, {
        json: () => ({ code: 0, message: 'OK' }),
        pretty: () => 'Bundle refreshed\n',
      });
    },
  );
}
