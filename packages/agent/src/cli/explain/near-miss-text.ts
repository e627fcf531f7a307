/** Entries that come close to matching, in a few lines each: what the process lacks, and what it has instead. */
import type { Explanation__Output as Explanation } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/Explanation';
import type { MissingSelector__Output as MissingSelector } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/MissingSelector';
import type { NearMiss__Output as NearMiss } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/NearMiss';
import { selectorText, table } from './report-words.js';

/** Of those that have nothing in common with the process but the kind of what they ask for. */
const MOST_FAR = 3;
const SLIPS: ReadonlySet<MissingSelector['hint']> = new Set([
  'DIFFERS_IN_CASE',
  'SIMILAR',
  'IS_PART',
  'OTHER_NAME',
]);

/** Whether somebody seems to have meant the one and written the other. */
export function isSlip({ hint }: MissingSelector): boolean {
  return SLIPS.has(hint);
}

/** Whether it matches in part, or would but for a slip. */
function isNear({ missing, missingCount, selectorCount }: NearMiss): boolean {
  return missingCount < selectorCount || missing.some(isSlip);
}

export function nearMissLines({
  nearMisses,
  server,
}: Pick<Explanation, 'nearMisses' | 'server'>): readonly string[] {
  const near = nearMisses.filter(isNear);
  // An entry that would match but for where it stands tells more than one that asks for another process.
  const hasBetter = near.length > 0 || (server?.entries.length ?? 0) > 0;
  const shown = hasBetter ? near : nearMisses.slice(0, MOST_FAR);
  if (shown.length === 0) return [];
  const lines = shown.flatMap(({ entryId, missing, missingCount, selectorCount, spiffeId }) => {
    const count =
      missingCount === selectorCount
        ? allOf(selectorCount)
        : `${missingCount} of its ${selectorCount} selectors`;
    const rows = missing.map((each) => ['    ', selectorText(each.selector), hintText(each)]);
    return [`  ${spiffeId}  entry ${entryId}  the process lacks ${count}:`, ...table(rows)];
  });
  return ['Entries that come close', ...lines];
}

function allOf(count: number): string {
  if (count <= 2) return count === 1 ? 'its only selector' : 'both of its selectors';
  return `all ${count} of its selectors`;
}

function hintText({ hint, presented, selector, similarAttestor }: MissingSelector): string {
  const has = `the process has ${presented.map(selectorText).join(' and ')}`;
  const type = selector?.type ?? '';
  switch (hint) {
    case 'DIFFERS_IN_CASE':
      return `${has}: only upper and lower case differ`;
    case 'SIMILAR':
      return `${has}: a typing error?`;
    case 'IS_PART':
      return `${has}: one is only a part of the other`;
    case 'OTHER_NAME':
      return `${has}: the same value under another name`;
    case 'DIFFERS':
      return has;
    case 'KIND_NOT_PRESENTED':
      return `the attestor ${type} says nothing of this kind about the process`;
    case 'NOTHING_PRESENTED':
      return `the attestor ${type} knows nothing about the process`;
    case 'ATTESTOR_FAILED':
      return `the attestor ${type} failed, so nobody knows`;
    case 'ATTESTOR_NOT_CONFIGURED':
      return similarAttestor === ''
        ? `this agent runs no attestor ${type}`
        : `this agent runs no attestor ${type}: is ${similarAttestor} meant?`;
    case 'UNSPECIFIED':
      return '';
  }
}
