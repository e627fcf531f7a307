/** `access explain`: who somebody is to the server, and whether and why they may do something. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import {
  addExamples,
  integerBetween,
  oneOf,
  repeatedOption,
  switchOption,
  valueOption,
} from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { ExplainAccessRequest } from '@bonafide/shared/rpc/gen/bonafide/access/v1/ExplainAccessRequest';
import type { ExplainAccessResponse__Output } from '@bonafide/shared/rpc/gen/bonafide/access/v1/ExplainAccessResponse';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Command } from 'commander';
import { VERBS } from '../../access/access-role.js';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface ExplainFlags extends ServerFlags {
  readonly as?: SpiffeId;
  readonly uid?: number;
  readonly gid?: readonly number[];
  readonly rpc?: string;
  readonly verb?: string;
  readonly entryId?: string;
  readonly spiffeId?: SpiffeId;
  readonly parentId?: SpiffeId;
  readonly selector?: readonly string[];
  readonly dns?: readonly string[];
  readonly federatesWith?: readonly string[];
  readonly admin?: boolean;
  readonly downstream?: boolean;
  readonly storeSvid?: boolean;
  readonly x509SvidTtl?: number;
  readonly output: OutputFormat;
}

const SERVICE = 'bonafide.access.v1.Access';
const MOST = 2 ** 31 - 1;
const LARGEST_ID = 2 ** 32 - 2;
const asItIs = (text: string): string => text;

export function accessExplain(command: Command, host: CommandHost): void {
  addServerFlags(
    command
      .addOption(
        valueOption(
          '--as <id>',
          'the holder of an SVID with this SPIFFE ID; left out: whoever asks',
          parseSpiffeId,
        ),
      )
      .addOption(
        valueOption('--uid <uid>', 'a local user who calls over a socket', integerBetween(0, LARGEST_ID)),
      )
      .addOption(repeatedOption('--gid <gid>', 'a group of that user', integerBetween(0, LARGEST_ID)))
      .option(
        '--rpc <path>',
        'whether it may call this, for example /spire.api.server.entry.v1.Entry/ListEntries',
      )
      .addOption(
        valueOption('--verb <verb>', `what it would do to an entry: ${VERBS.join(', ')}`, oneOf(...VERBS)),
      )
      .option('--entry-id <id>', 'with --verb: an entry that is registered')
      .addOption(
        valueOption('--spiffe-id <id>', 'with --verb: one that would have this SPIFFE ID', parseSpiffeId),
      )
      .addOption(valueOption('--parent-id <id>', 'and this parent', parseSpiffeId))
      .addOption(repeatedOption('--selector <type:value>', 'and this selector', asItIs))
      .addOption(repeatedOption('--dns <name>', 'and this DNS name', asItIs))
      .addOption(repeatedOption('--federates-with <trust-domain>', 'and this federated trust domain', asItIs))
      .addOption(valueOption('--x509-svid-ttl <seconds>', 'and this lifetime', integerBetween(0, MOST)))
      .addOption(switchOption('--admin', 'and be an admin entry'))
      .addOption(switchOption('--downstream', 'and be a downstream entry'))
      .addOption(switchOption('--store-svid', 'and store its SVID'))
      .addOption(outputOption()),
  );
  addExamples(command, [
    'bonafide-server access explain --as spiffe://example.org/team-a/ops',
    'bonafide-server access explain --uid 1001 --rpc /spire.api.server.entry.v1.Entry/ListEntries',
    'bonafide-server access explain --as spiffe://example.org/team-a/ops --verb delete --entry-id web',
  ]).action(async (flags: ExplainFlags) => {
    const request = requestFrom(flags);
    const response = await withServer(flags, host, (server) =>
      server.call(SERVICE, 'explainAccess', request),
    );
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'bonafide.access.v1.ExplainAccessResponse',
      message: response,
      pretty: () => explanationText(response),
    });
  });
}

function requestFrom(flags: ExplainFlags): ExplainAccessRequest {
  const { as, uid, gid, rpc, verb, entryId, spiffeId } = flags;
  if (as !== undefined && uid !== undefined)
    throw invalidArgument('--as and --uid are two callers; name one');
  if (gid !== undefined && uid === undefined) throw invalidArgument('--gid is of a user; add --uid');
  const isEntryNamed = entryId !== undefined || spiffeId !== undefined;
  if (rpc !== undefined && (verb !== undefined || isEntryNamed)) {
    throw invalidArgument('--rpc and --verb are two questions; ask one');
  }
  if ((verb !== undefined) !== isEntryNamed || (entryId !== undefined && spiffeId !== undefined)) {
    throw invalidArgument('an entry takes --verb, and either --entry-id or --spiffe-id');
  }
  return {
    ...(as === undefined ? {} : { spiffeId: as }),
    ...(uid === undefined ? {} : { localUser: { uid, gids: [...(gid ?? [])] } }),
    ...(rpc === undefined ? {} : { rpc }),
    ...(verb === undefined ? {} : { entry: { verb, ...entryFrom(flags) } }),
  };
}

function entryFrom(flags: ExplainFlags): NonNullable<ExplainAccessRequest['entry']> {
  return {
    entryId: flags.entryId ?? '',
    spiffeId: flags.spiffeId ?? '',
    parentId: flags.parentId ?? '',
    selectors: [...(flags.selector ?? [])],
    dnsNames: [...(flags.dns ?? [])],
    federatesWith: [...(flags.federatesWith ?? [])],
    admin: flags.admin ?? false,
    downstream: flags.downstream ?? false,
    storeSvid: flags.storeSvid ?? false,
    x509SvidTtl: flags.x509SvidTtl ?? 0,
  };
}

function explanationText({ standings, roles, verdict }: ExplainAccessResponse__Output): string {
  const [first, ...others] = standings;
  const who =
    first === undefined
      ? ['Caller : nobody to this server']
      : [`Caller : ${first.kind}: ${first.because}`, ...others.map(also)];
  const lines = [...who, `Roles  : ${roles.length === 0 ? 'none' : roles.join(', ')}`];
  if (verdict !== null) {
    lines.push(`Answer : ${verdict.isAllowed ? 'allowed' : 'refused'}`);
    lines.push(...verdict.because.map((reason) => `Because: ${reason}`));
  }
  return `${lines.join('\n')}\n`;
}

function also({ kind, because }: { readonly kind: string; readonly because: string }): string {
  return `Also   : ${kind}: ${because}`;
}
