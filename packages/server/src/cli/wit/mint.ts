/** `wit mint`: a WIT-SVID for any SPIFFE ID of the trust domain, bound to a key made here that the server never sees. */
import { join } from 'node:path';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, oneOf, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import {
  isJwsAlgorithm,
  isKeyFor,
  JWS_ALGORITHMS,
  type JwsAlgorithm,
} from '@bonafide/shared/crypto/jws-algorithm';
import { KEY_TYPES, type KeyType } from '@bonafide/shared/crypto/key-type';
import { formatPrivateJwk } from '@bonafide/shared/crypto/private-json-web-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { WITSVID__Output } from '@bonafide/shared/rpc/gen/spire/api/types/WITSVID';
import { writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Command } from 'commander';
import { lifetimeOption, warnOfShortLife } from '../minted-lifetime.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface MintFlags extends ServerFlags {
  readonly spiffeId?: SpiffeId;
  readonly keyType: KeyType;
  readonly signingAlgorithm: JwsAlgorithm;
  /** Seconds. */
  readonly ttl: number;
  readonly write?: string;
  readonly output: OutputFormat;
}

interface Minted {
  readonly svid: WITSVID__Output;
  /** JSON Web Key. */
  readonly privateKey: string;
}

export function witMint(command: Command, host: CommandHost): void {
  command
    .addOption(valueOption('--spiffe-id <id>', 'SPIFFE ID of the SVID', parseSpiffeId))
    .addOption(
      valueOption(
        '--key-type <type>',
        `type of the key: ${KEY_TYPES.join(', ')}`,
        oneOf(...KEY_TYPES),
      ).default('ec-p256'),
    )
    .addOption(
      valueOption(
        '--signing-algorithm <name>',
        'with which the holder proves that it has the key',
        parseAlgorithm,
      ).default('ES256'),
    )
    .addOption(lifetimeOption())
    .option(
      '--write <directory>',
      'writes token and key there, for their owner alone, instead of printing them',
    )
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server wit mint --spiffe-id spiffe://example.org/ci',
    'bonafide-server wit mint --spiffe-id spiffe://example.org/ci --key-type rsa-2048 --signing-algorithm PS256 --write /run/ci',
  ]).action(async (flags: MintFlags) => {
    if (flags.spiffeId === undefined) {
      throw invalidArgument('a SPIFFE ID is required; add --spiffe-id, for example spiffe://example.org/web');
    }
    const askedAt = host.clock.now();
    const minted = await mint(flags, flags.spiffeId, host);
    warnOfShortLife(host, 'WIT-SVID', {
      askedAt,
      expiresAt: minted.svid.expiresAt,
      ttlSeconds: flags.ttl,
    });
    if (flags.write === undefined) print(host, flags.output, minted);
    else await write(host, flags.write, minted);
  });
}

async function mint(flags: MintFlags, spiffeId: SpiffeId, host: CommandHost): Promise<Minted> {
  const { keyType, signingAlgorithm, ttl } = flags;
  const privateKey = await generatePrivateKey(keyType);
  if (!isKeyFor(signingAlgorithm, privateKey)) {
    throw invalidArgument(`a key of type ${keyType} cannot sign with ${signingAlgorithm}; change --key-type`);
  }
  const { svid } = await withServer(flags, host, (server) =>
    server.call('spire.api.server.svid.v1.SVID', 'MintWITSVID', {
      id: spiffeIdToProto(spiffeId),
      publicKey: exportSpki(privateKey),
      signingAlgorithm,
      ttl: Math.ceil(ttl),
    }),
  );
  if (svid === null || svid.token === '') {
    throw new BonafideError('internal', 'the answer of the server has no token');
  }
  return { svid, privateKey: formatPrivateJwk(privateKey, signingAlgorithm) };
}

/** As in SPIRE this JSON is not protojson: numbers are numbers, and what is empty is left out. */
function print(host: CommandHost, output: OutputFormat, { svid, privateKey }: Minted): void {
  const { token, id, expiresAt, issuedAt } = svid;
  printAnswer(host, output, {
    json: () => ({
      private_key: privateKey,
      svid: {
        token,
        ...(id === null ? {} : { id: { trust_domain: id.trustDomain, path: id.path } }),
        expires_at: expiresAt,
        issued_at: issuedAt,
      },
    }),
    pretty: () => `${token}\n${privateKey}\n`,
  });
}

async function write(host: CommandHost, directory: string, { svid, privateKey }: Minted): Promise<void> {
  const files = [
    { label: 'WIT-SVID', path: join(directory, 'token'), text: svid.token },
    { label: 'Private key', path: join(directory, 'key'), text: privateKey },
  ];
  for (const { label, path, text } of files) {
    await writeFileAtomic(path, text);
    host.stdout.write(`${label} written to ${path}\n`);
  }
}

function parseAlgorithm(text: string): JwsAlgorithm {
  if (isJwsAlgorithm(text)) return text;
  throw invalidArgument(`expected one of ${JWS_ALGORITHMS.join(', ')}`);
}
