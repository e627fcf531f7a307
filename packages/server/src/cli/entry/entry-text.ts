/** An entry as the lines that SPIRE prints. */
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import { counted, printedId, printedTime } from '../printed-words.js';

const LABEL_WIDTH = 24;

/** Ends with an empty line. */
export function entryText(entry: Entry__Output): string {
  const { additionalAttributes } = entry;
  const rows: readonly (readonly [string, string] | undefined)[] = [
    ['Entry ID', entry.id === '' ? '(none)' : entry.id],
    ['SPIFFE ID', printedId(entry.spiffeId)],
    ['Parent ID', printedId(entry.parentId)],
    ['Revision', String(entry.revisionNumber)],
    whenTrue('Downstream', entry.downstream),
    ['X509-SVID TTL', ttlText(entry.x509SvidTtl)],
    ['JWT-SVID TTL', ttlText(entry.jwtSvidTtl)],
    entry.expiresAt === 0 ? undefined : ['Expiration time', printedTime(entry.expiresAt)],
    ...entry.selectors.map(({ type, value }) => ['Selector', `${type}:${value}`] as const),
    ...entry.federatesWith.map((trustDomain) => ['FederatesWith', trustDomain] as const),
    ...entry.dnsNames.map((name) => ['DNS name', name] as const),
    whenTrue('Admin', entry.admin),
    whenTrue('StoreSvid', entry.storeSvid),
    entry.hint === '' ? undefined : ['Hint', entry.hint],
    whenTrue('DisableX509SvidPrefetch', additionalAttributes?.disableX509SvidPrefetch),
    whenTrue('JwtSvidIncludeJti', additionalAttributes?.jwtSvidIncludeJti),
  ];
  const lines = rows.flatMap((row) =>
    row === undefined ? [] : [`${row[0].padEnd(LABEL_WIDTH)}: ${row[1]}\n`],
  );
  return `${lines.join('')}\n`;
}

export function foundEntriesText(entries: readonly Entry__Output[]): string {
  return `Found ${counted(entries.length, 'entry', 'entries')}\n${entries.map(entryText).join('')}`;
}

function whenTrue(label: string, value: boolean | undefined): readonly [string, string] | undefined {
  return value === true ? [label, 'true'] : undefined;
}

function ttlText(seconds: number): string {
  return seconds === 0 ? 'default' : String(seconds);
}
