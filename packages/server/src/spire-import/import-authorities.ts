/** SPIRE's authorities into the slots of ours: they sign on here until they are rotated; nothing ever moves back. */
import type { AuthorityRecord, AuthoritySlot } from '../store/authority-record.js';
import type { WriteTransaction } from '../store/store.js';
import { NOTHING, type Tally } from './import-report.js';

export interface AuthorityImportOptions {
  readonly transaction: Pick<WriteTransaction, 'authorities'>;
  readonly records: readonly AuthorityRecord[];
  readonly serverId: string;
}

const ORDER: readonly AuthoritySlot[] = ['prepared', 'active', 'old'];

export async function importAuthorities(options: AuthorityImportOptions): Promise<Tally> {
  const { transaction, records, serverId } = options;
  const all = await transaction.authorities.list();
  const revoked = new Set(await transaction.authorities.listRevoked());
  const ours = new Map(all.filter((one) => one.serverId === serverId).map((one) => [one.authorityId, one]));
  const ids = new Set(records.map(({ authorityId }) => authorityId));
  const tally = { ...NOTHING };
  for (const theirs of records) {
    if (revoked.has(theirs.authorityId)) continue;
    const present = ours.get(theirs.authorityId);
    const slot = present === undefined ? theirs.slot : laterOf(present.slot, theirs.slot);
    const isTainted = theirs.isTainted || (present?.isTainted ?? false);
    if (present?.slot === slot && present.isTainted === isTainted) {
      if (slot === theirs.slot) tally.unchanged += 1;
      else tally.newerHere += 1;
      continue;
    }
    if (slot !== 'old') await retireOthers(transaction, ours, theirs, slot);
    const record = { ...theirs, slot, isTainted };
    await transaction.authorities.put(record);
    ours.set(record.authorityId, record);
    if (present === undefined) tally.created += 1;
    else tally.updated += 1;
  }
  const onlyHere = [...ours.keys()].filter((authorityId) => !ids.has(authorityId)).length;
  return { ...tally, onlyHere };
}

/** A slot holds one: what was made here before gives way to what agents already believe. */
async function retireOthers(
  { authorities }: Pick<WriteTransaction, 'authorities'>,
  ours: Map<string, AuthorityRecord>,
  { kind, authorityId }: AuthorityRecord,
  slot: AuthoritySlot,
): Promise<void> {
  for (const other of [...ours.values()]) {
    if (other.kind !== kind || other.slot !== slot || other.authorityId === authorityId) continue;
    const retired = { ...other, slot: 'old' } as const;
    await authorities.put(retired);
    ours.set(other.authorityId, retired);
  }
}

function laterOf(one: AuthoritySlot, other: AuthoritySlot): AuthoritySlot {
  return ORDER.indexOf(one) > ORDER.indexOf(other) ? one : other;
}
