/** Hints as they go out (SPIFFE Workload API section 5.2.1): none twice in one response. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Logger } from '@bonafide/shared/runtime/logger';

/** The hint of each entry, empty for none. The first identity that has it keeps it. */
export function uniqueHints(entries: readonly RegistrationEntry[], log: Logger): readonly string[] {
  const owners = new Map<string, string>();
  return entries.map(({ id, hint }) => {
    if (hint === undefined) return '';
    const owner = owners.get(hint);
    if (owner === undefined) {
      owners.set(hint, id);
      return hint;
    }
    log.warn(
      { hint, entryId: id, keptBy: owner },
      'leaving out the hint of an identity: another one has it already',
    );
    return '';
  });
}
