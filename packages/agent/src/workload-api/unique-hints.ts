/** Hints as they go out (SPIFFE Workload API section 5.2.1): none twice in one response. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Logger } from '@bonafide/shared/runtime/logger';

/** Entries of which the log has told; an entry that changes is another object. */
const reported = new WeakSet<RegistrationEntry>();

/** The hint of each entry, empty for none. The first identity that has it keeps it. */
export function uniqueHints(entries: readonly RegistrationEntry[], log: Logger): readonly string[] {
  const owners = new Map<string, string>();
  return entries.map((entry) => {
    const { id, hint } = entry;
    if (hint === undefined) return '';
    const owner = owners.get(hint);
    if (owner === undefined) {
      owners.set(hint, id);
      return hint;
    }
    if (!reported.has(entry)) {
      const fields = { hint, entryId: id, keptBy: owner };
      log.warn(fields, 'leaving out the hint of an identity: another one has it already');
      reported.add(entry);
    }
    return '';
  });
}
