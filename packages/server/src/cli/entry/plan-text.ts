/** A plan in words: each change with its fields, then the agents and the processes that notice. */
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import type { PlannedChange__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/PlannedChange';
import type { WorkloadEffect__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/WorkloadEffect';
import { counted, printedId, printedTime } from '../printed-words.js';
import type { ShownPlan } from './ask-plan.js';

const MOST_LINES = 50;

type Paint = (color: keyof typeof COLORS, text: string) => string;

const COLORS = { create: 32, update: 33, delete: 31 } as const;
const EFFECTS = {
  LOSES: { color: 'delete', sign: '-', words: 'no longer get' },
  GAINS: { color: 'create', sign: '+', words: 'get' },
  RENEWS: { color: 'update', sign: '~', words: 'get anew' },
} as const satisfies Record<WorkloadEffect__Output['kind'], object>;

/** @param isColored for a terminal. */
export function planText(plan: ShownPlan, isColored: boolean): string {
  const paint: Paint = (color, text) => (isColored ? `\u001B[${COLORS[color]}m${text}\u001B[0m` : text);
  const { changes, summary } = plan;
  if (changes.length === 0) return `${summaryText(plan)}\n`;
  const sections = [
    ...changes.map((change) => changeText(change, paint)),
    effectsText(plan, paint),
    summary.isPartial ? 'There are more agents and processes than were looked at.\n' : '',
    `${summaryText(plan)}\n`,
  ];
  return sections.filter((section) => section !== '').join('\n');
}

/** `Plan: 1 to create, 2 to update, none to delete; 7 unchanged`, and what is left out. */
export function summaryText({ summary }: ShownPlan): string {
  const { created, updated, deleted, unchanged, expired, unlisted } = summary;
  const isChange = created + updated + deleted > 0;
  const head = isChange
    ? `Plan: ${created} to create, ${updated} to update, ${deleted} to delete; ${unchanged} unchanged`
    : `No changes: the registry is as the file says (${counted(unchanged, 'entry', 'entries')})`;
  const notes = [
    expired === 0
      ? ''
      : `${counted(expired, 'entry', 'entries')} of the file left out, because the time is over`,
    unlisted === 0
      ? ''
      : `${counted(unlisted, 'entry', 'entries')} in the scope not in the file; --prune deletes what the file does not have`,
  ];
  return [head, ...notes].filter((note) => note !== '').join('\n');
}

function changeText({ before, after, fields }: PlannedChange__Output, paint: Paint): string {
  if (before === null && after !== null) return paint('create', `+ ${nameOf(after)}\n`) + termsText(after);
  if (before !== null && after === null) return paint('delete', `- ${nameOf(before)}\n`) + termsText(before);
  if (before === null || after === null) return '';
  const lines = fields.map(
    (field) => `    ${field}: ${valueText(before, field)} -> ${valueText(after, field)}\n`,
  );
  return paint('update', `~ ${nameOf(before)}\n`) + lines.join('');
}

function nameOf({ id, spiffeId }: Entry__Output): string {
  return `${printedId(spiffeId)}${id === '' ? '' : ` (entry ${id})`}`;
}

function termsText(entry: Entry__Output): string {
  return ['parent_id', 'selectors'].map((field) => `    ${field}: ${valueText(entry, field)}\n`).join('');
}

const VALUES: Readonly<Record<string, (entry: Entry__Output) => string>> = {
  spiffe_id: ({ spiffeId }) => printedId(spiffeId),
  parent_id: ({ parentId }) => printedId(parentId),
  selectors: ({ selectors }) => selectorsText(selectors),
  x509_svid_ttl: ({ x509SvidTtl }) => ttlText(x509SvidTtl),
  jwt_svid_ttl: ({ jwtSvidTtl }) => ttlText(jwtSvidTtl),
  federates_with: ({ federatesWith }) => listText(federatesWith),
  admin: ({ admin }) => String(admin),
  downstream: ({ downstream }) => String(downstream),
  expires_at: ({ expiresAt }) => (expiresAt === 0 ? 'never' : printedTime(expiresAt)),
  dns_names: ({ dnsNames }) => listText(dnsNames),
  store_svid: ({ storeSvid }) => String(storeSvid),
  hint: ({ hint }) => (hint === '' ? 'none' : JSON.stringify(hint)),
  additional_attributes: ({ additionalAttributes: attributes }) =>
    listText([
      ...(attributes?.disableX509SvidPrefetch === true ? ['disable_x509_svid_prefetch'] : []),
      ...(attributes?.jwtSvidIncludeJti === true ? ['jwt_svid_include_jti'] : []),
    ]),
};

function valueText(entry: Entry__Output, field: string): string {
  return VALUES[field]?.(entry) ?? '?';
}

function effectsText({ agents, workloads, summary }: ShownPlan, paint: Paint): string {
  if (summary.agents === 0) return 'No agent may serve any of these entries, before or after.\n';
  const agentLines = agents.slice(0, MOST_LINES).map(({ agentId, gained, lost, renewed }) => {
    const counts = [
      gained === 0 ? '' : `gains ${gained}`,
      lost === 0 ? '' : `loses ${lost}`,
      renewed === 0 ? '' : `renews ${renewed}`,
    ];
    return `    ${agentId} ${counts.filter((count) => count !== '').join(', ')}\n`;
  });
  const workloadLines = workloads.slice(0, MOST_LINES).map(({ kind, spiffeId, selectors, agents: count }) => {
    const { color, sign, words } = EFFECTS[kind];
    const where = `on ${counted(count, 'agent', 'agents')}`;
    return paint(
      color,
      `  ${sign} processes with ${selectorsText(selectors)} ${words} ${spiffeId}, ${where}\n`,
    );
  });
  return [
    `${counted(summary.agents, 'agent', 'agents')} ${summary.agents === 1 ? 'is' : 'are'} told:\n`,
    ...agentLines,
    moreText(summary.agents - agentLines.length),
    workloadLines.length === 0 ? '' : '\nOn them\n',
    ...workloadLines,
    moreText(summary.workloads - workloadLines.length),
  ].join('');
}

function moreText(count: number): string {
  return count > 0 ? `    and ${count} more\n` : '';
}

function selectorsText(selectors: Entry__Output['selectors']): string {
  return listText(selectors.map(({ type, value }) => `${type}:${value}`));
}

function listText(items: readonly string[]): string {
  return items.length === 0 ? 'none' : items.join(', ');
}

function ttlText(seconds: number): string {
  return seconds === 0 ? 'default' : `${seconds} s`;
}
