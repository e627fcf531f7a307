/** `bundle list`: the bundles of the trust domains that this one federates with, or one of them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Bundle__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { listPages } from '../list-pages.js';
import { printMessage } from '../print-message.js';
import { withServer, type ServerConnection } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { bundleFormatOption, bundleText, trustDomainOption, type BundleFormat } from './bundle-format.js';

interface ListFlags extends ServerFlags {
  readonly id?: TrustDomain;
  readonly format: BundleFormat;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.bundle.v1.Bundle';
const RULE = '*'.repeat(40);

export function bundleList(command: Command, host: CommandHost): void {
  command
    .addOption(trustDomainOption('only the bundle of this trust domain'))
    .addOption(bundleFormatOption('how to print them'))
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server bundle list',
    'bonafide-server bundle list --id other.example --format spiffe',
  ]).action(async (flags: ListFlags) => {
    if (flags.id === undefined) await listAll(flags, host);
    else await showOne(flags, flags.id, host);
  });
}

async function showOne(flags: ListFlags, trustDomain: TrustDomain, host: CommandHost): Promise<void> {
  const bundle = await withServer(flags, host, (server) =>
    server.call(SERVICE, 'getFederatedBundle', { trustDomain }),
  );
  printMessage(host, flags.output, {
    service: SERVICE,
    name: 'spire.api.types.Bundle',
    message: bundle,
    pretty: () => bundleText(bundle, flags.format),
  });
}

async function listAll(flags: ListFlags, host: CommandHost): Promise<void> {
  const bundles = await withServer(flags, host, fetchBundles);
  printMessage(host, flags.output, {
    service: SERVICE,
    name: 'spire.api.server.bundle.v1.ListFederatedBundlesResponse',
    message: { bundles, nextPageToken: '' },
    pretty: () => bundles.map((bundle) => titledBundle(bundle, flags.format)).join('\n'),
  });
}

function fetchBundles(server: ServerConnection): Promise<readonly Bundle__Output[]> {
  return listPages(async (page) => {
    const { bundles: items, nextPageToken } = await server.call(SERVICE, 'listFederatedBundles', page);
    return { items, nextPageToken };
  });
}

function titledBundle(bundle: Bundle__Output, format: BundleFormat): string {
  return `${RULE}\n* ${bundle.trustDomain}\n${RULE}\n${bundleText(bundle, format)}`;
}
