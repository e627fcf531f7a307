/** `jwt mint`: a JWT-SVID for any SPIFFE ID of the trust domain. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, repeatedOption, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import { writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Command } from 'commander';
import { lifetimeOption, warnOfShortLife } from '../minted-lifetime.js';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface MintFlags extends ServerFlags {
  readonly spiffeId?: SpiffeId;
  readonly audience?: readonly string[];
  /** Seconds. */
  readonly ttl: number;
  readonly write?: string;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.svid.v1.SVID';

export function jwtMint(command: Command, host: CommandHost): void {
  command
    .addOption(valueOption('--spiffe-id <id>', 'SPIFFE ID of the SVID', parseSpiffeId))
    .addOption(repeatedOption('--audience <name>', 'for whom the SVID is', parseAudience))
    .addOption(lifetimeOption())
    .option('--write <file>', 'writes the token there, for its owner alone, instead of printing it')
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server jwt mint --spiffe-id spiffe://example.org/ci --audience vault',
    'bonafide-server jwt mint --spiffe-id spiffe://example.org/ci --audience vault --ttl 10m --write /run/ci/token',
  ]).action(async (flags: MintFlags) => {
    const { spiffeId, audience = [], ttl } = flags;
    if (spiffeId === undefined) {
      throw invalidArgument('a SPIFFE ID is required; add --spiffe-id, for example spiffe://example.org/web');
    }
    if (audience.length === 0) {
      throw invalidArgument(
        'an audience is required; add --audience with the name of whoever is to accept it',
      );
    }
    const askedAt = host.clock.now();
    const answer = await withServer(flags, host, (server) =>
      server.call(SERVICE, 'MintJWTSVID', {
        id: spiffeIdToProto(spiffeId),
        audience: [...audience],
        ttl: Math.ceil(ttl),
      }),
    );
    const { svid } = answer;
    if (svid === null || svid.token === '') {
      throw new BonafideError('internal', 'the answer of the server has no token');
    }
    warnOfShortLife(host, 'JWT-SVID', { askedAt, expiresAt: svid.expiresAt, ttlSeconds: ttl });
    if (flags.write === undefined) {
      printMessage(host, flags.output, {
        service: SERVICE,
        name: 'spire.api.server.svid.v1.MintJWTSVIDResponse',
        message: answer,
        pretty: () => `${svid.token}\n`,
      });
      return;
    }
    await writeFileAtomic(flags.write, svid.token);
    host.stdout.write(`JWT-SVID written to ${flags.write}\n`);
  });
}

function parseAudience(text: string): string {
  if (text === '') throw invalidArgument('expected a name');
  return text;
}
