/** `x509 mint`: an X.509-SVID for any SPIFFE ID of the trust domain, with a key made here that the server never sees. */
import { join } from 'node:path';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, repeatedOption, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Command } from 'commander';
import { lifetimeOption, warnOfShortLife } from '../minted-lifetime.js';
import { withServer, type ServerConnection } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface MintFlags extends ServerFlags {
  readonly spiffeId?: SpiffeId;
  /** Seconds. */
  readonly ttl: number;
  readonly dns?: readonly string[];
  readonly write?: string;
  readonly output: OutputFormat;
}

interface Minted {
  readonly chain: readonly Buffer[];
  /** PKCS#8. */
  readonly privateKey: Buffer;
  readonly authorities: readonly Buffer[];
  readonly expiresAt: number;
}

const PUBLIC_FILE_MODE = 0o644;

export function x509Mint(command: Command, host: CommandHost): void {
  command
    .addOption(valueOption('--spiffe-id <id>', 'SPIFFE ID of the SVID', parseSpiffeId))
    .addOption(lifetimeOption())
    .addOption(repeatedOption('--dns <name>', 'DNS name in the SVID', (text) => text))
    .option('--write <directory>', 'writes svid.pem, key.pem and bundle.pem there instead of printing them')
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server x509 mint --spiffe-id spiffe://example.org/admin',
    'bonafide-server x509 mint --spiffe-id spiffe://example.org/db --ttl 12h --dns db.example.org --write /etc/db/svid',
  ]).action(async (flags: MintFlags) => {
    if (flags.spiffeId === undefined) {
      throw invalidArgument('a SPIFFE ID is required; add --spiffe-id, for example spiffe://example.org/web');
    }
    const { spiffeId, ttl, dns = [] } = flags;
    const askedAt = host.clock.now();
    const minted = await withServer(flags, host, (server) => mint(server, { spiffeId, ttl, dns }));
    warnOfShortLife(host, 'X509-SVID', { askedAt, expiresAt: minted.expiresAt, ttlSeconds: ttl });
    if (flags.write === undefined) print(host, flags.output, minted);
    else await write(host, flags.write, minted);
  });
}

async function mint(
  server: ServerConnection,
  {
    spiffeId,
    ttl,
    dns,
  }: { readonly spiffeId: SpiffeId; readonly ttl: number; readonly dns: readonly string[] },
): Promise<Minted> {
  const privateKey = await generatePrivateKey('ec-p256');
  const csr = await createCertificateSigningRequest(privateKey, { uriNames: [spiffeId], dnsNames: dns });
  const { svid } = await server.call('spire.api.server.svid.v1.SVID', 'mintX509Svid', {
    csr,
    ttl: Math.ceil(ttl),
  });
  if (svid === null || svid.certChain.length === 0) {
    throw new BonafideError('internal', 'the answer of the server has no SVID chain');
  }
  const bundle = await server.call('spire.api.server.bundle.v1.Bundle', 'getBundle', {});
  if (bundle.x509Authorities.length === 0) {
    throw new BonafideError('internal', 'the answer of the server has no X.509 authorities');
  }
  return {
    chain: svid.certChain,
    privateKey: exportPkcs8(privateKey),
    authorities: bundle.x509Authorities.map(({ asn1 }) => asn1),
    expiresAt: svid.expiresAt,
  };
}

function print(host: CommandHost, output: OutputFormat, minted: Minted): void {
  const { svid, key, bundle } = pemOf(minted);
  printAnswer(host, output, {
    json: () => ({
      x509_svid: minted.chain.map((der) => der.toString('base64')),
      private_key: minted.privateKey.toString('base64'),
      root_cas: minted.authorities.map((der) => der.toString('base64')),
    }),
    pretty: () => `X509-SVID:\n${svid}\nPrivate key:\n${key}\nRoot CAs:\n${bundle}\n`,
  });
}

async function write(host: CommandHost, directory: string, minted: Minted): Promise<void> {
  const { svid, key, bundle } = pemOf(minted);
  const files = [
    { label: 'X509-SVID', path: join(directory, 'svid.pem'), text: svid, mode: PUBLIC_FILE_MODE },
    { label: 'Private key', path: join(directory, 'key.pem'), text: key, mode: 0o600 },
    { label: 'Root CAs', path: join(directory, 'bundle.pem'), text: bundle, mode: PUBLIC_FILE_MODE },
  ];
  for (const { label, path, text, mode } of files) {
    await writeFileAtomic(path, text, mode);
    host.stdout.write(`${label} written to ${path}\n`);
  }
}

function pemOf(minted: Minted): { readonly svid: string; readonly key: string; readonly bundle: string } {
  const certificates = (chain: readonly Buffer[]): string =>
    chain.map((der) => encodePem('CERTIFICATE', der)).join('');
  return {
    svid: certificates(minted.chain),
    key: encodePem('PRIVATE KEY', minted.privateKey),
    bundle: certificates(minted.authorities),
  };
}
