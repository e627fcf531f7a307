/** The flags that describe one registration entry, and the message they make; `entry create` and `entry update` share them. */
import {
  integerBetween,
  repeatedOption,
  switchOption,
  valueOption,
} from '@bonafide/shared/cli/option-values';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSelector, type Selector } from '@bonafide/shared/registration/selector';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';

export interface EntryFlags {
  readonly data?: string;
  readonly entryId?: string;
  readonly spiffeId?: SpiffeId;
  readonly parentId?: SpiffeId;
  readonly selector?: readonly Selector[];
  readonly x509SvidTtl?: number;
  readonly jwtSvidTtl?: number;
  readonly federatesWith?: readonly TrustDomain[];
  readonly dns?: readonly string[];
  readonly admin?: boolean;
  readonly downstream?: boolean;
  readonly storeSvid?: boolean;
  readonly entryExpiry?: number;
  readonly hint?: string;
  readonly disableX509SvidPrefetch?: boolean;
  readonly jwtSvidIncludeJti?: boolean;
}

/** What every flag that describes the entry adds to the command line; none of them goes together with `--data`. */
const ENTRY_FLAGS = {
  entryId: '--entry-id',
  spiffeId: '--spiffe-id',
  parentId: '--parent-id',
  selector: '--selector',
  x509SvidTtl: '--x509-svid-ttl',
  jwtSvidTtl: '--jwt-svid-ttl',
  federatesWith: '--federates-with',
  dns: '--dns',
  admin: '--admin',
  downstream: '--downstream',
  storeSvid: '--store-svid',
  entryExpiry: '--entry-expiry',
  hint: '--hint',
  disableX509SvidPrefetch: '--disable-x509-svid-prefetch',
  jwtSvidIncludeJti: '--jwt-svid-include-jti',
} as const satisfies Record<Exclude<keyof EntryFlags, 'data'>, string>;

const LONGEST_TTL_SECONDS = 2 ** 31 - 1;
const ttl = integerBetween(0, LONGEST_TTL_SECONDS);

export function addEntryFlags(command: Command, entryIdDescription: string): Command {
  return command
    .option('--entry-id <id>', entryIdDescription)
    .addOption(valueOption('--spiffe-id <id>', 'the SPIFFE ID that the entry grants', parseSpiffeId))
    .addOption(
      valueOption(
        '--parent-id <id>',
        'SPIFFE ID of the agent, node alias or entry under which it is delivered',
        parseSpiffeId,
      ),
    )
    .addOption(
      repeatedOption(
        '--selector <type:value>',
        'what a caller must have been proven to be, for example unix:uid:1000',
        parseSelector,
      ),
    )
    .addOption(
      valueOption('--x509-svid-ttl <seconds>', 'lifetime of X.509-SVIDs (0: the default of the server)', ttl),
    )
    .addOption(
      valueOption('--jwt-svid-ttl <seconds>', 'lifetime of JWT-SVIDs (0: the default of the server)', ttl),
    )
    .addOption(
      repeatedOption(
        '--federates-with <trust-domain>',
        'trust domain whose bundle is delivered as well',
        parseTrustDomainOrId,
      ),
    )
    .addOption(repeatedOption('--dns <name>', 'DNS name in the X.509-SVIDs', (text) => text))
    .addOption(switchOption('--admin', 'lets its holder use the APIs of the server'))
    .addOption(
      switchOption('--downstream', 'makes its holder a downstream server, which may have a CA of its own'),
    )
    .addOption(switchOption('--store-svid', 'has the SVID put into a store instead of being fetched'))
    .addOption(
      valueOption(
        '--entry-expiry <unix-seconds>',
        'when the entry ends by itself',
        integerBetween(0, Number.MAX_SAFE_INTEGER),
      ),
    )
    .option('--hint <text>', 'tells a workload what this SVID is for when it gets several')
    .addOption(
      switchOption('--disable-x509-svid-prefetch', 'has agents get the X.509-SVID only when it is asked for'),
    )
    .addOption(switchOption('--jwt-svid-include-jti', 'puts a unique jti claim into each JWT-SVID'))
    .option(
      '--data <file>',
      "entries from a JSON or YAML file, '-' for standard input; goes with no other entry flag",
    );
}

/** @throws BonafideError `invalid_argument` naming the flag that does not go together with `--data`. */
export function refuseEntryFlagsBesideData(flags: EntryFlags): void {
  for (const [name, flag] of Object.entries(ENTRY_FLAGS)) {
    if (flags[name as keyof typeof ENTRY_FLAGS] !== undefined) {
      throw invalidArgument(`--data takes the whole entry from a file; leave out ${flag}`);
    }
  }
}

/** @throws BonafideError `invalid_argument` naming the first flag that is missing. */
export function entryFromFlags(flags: EntryFlags, parentId: SpiffeId | undefined): Entry__Output {
  const { selector = [], spiffeId } = flags;
  if (selector.length === 0) {
    throw invalidArgument('at least one selector is required; add --selector, for example unix:uid:1000');
  }
  if (spiffeId === undefined) {
    throw invalidArgument('a SPIFFE ID is required; add --spiffe-id, for example spiffe://example.org/web');
  }
  if (parentId === undefined) {
    throw invalidArgument(
      'a parent ID is required; add --parent-id with the SPIFFE ID of an agent as agent list shows it, or of a node alias',
    );
  }
  const hasAttributes = flags.disableX509SvidPrefetch !== undefined || flags.jwtSvidIncludeJti !== undefined;
  return {
    id: flags.entryId ?? '',
    spiffeId: spiffeIdToProto(spiffeId),
    parentId: spiffeIdToProto(parentId),
    selectors: [...selector],
    x509SvidTtl: flags.x509SvidTtl ?? 0,
    jwtSvidTtl: flags.jwtSvidTtl ?? 0,
    federatesWith: [...(flags.federatesWith ?? [])],
    dnsNames: [...(flags.dns ?? [])],
    admin: flags.admin ?? false,
    downstream: flags.downstream ?? false,
    storeSvid: flags.storeSvid ?? false,
    expiresAt: flags.entryExpiry ?? 0,
    hint: flags.hint ?? '',
    revisionNumber: 0,
    createdAt: 0,
    additionalAttributes: hasAttributes
      ? {
          disableX509SvidPrefetch: flags.disableX509SvidPrefetch ?? false,
          jwtSvidIncludeJti: flags.jwtSvidIncludeJti ?? false,
        }
      : null,
  };
}
