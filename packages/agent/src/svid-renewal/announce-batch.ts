/** What the log says before SVIDs are asked for. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SvidKind } from './svid-kind.js';

/** Beyond it the lines of a batch are a flood. */
const MOST_LINES = 20;

/** A line for each, in SPIRE's words; of a crowd only how many, and each at debug. */
export function announceBatch<Svid>(
  { name, holder }: Pick<SvidKind<Svid>, 'name' | 'holder'>,
  entries: readonly RegistrationEntry[],
  log: Logger,
): void {
  const isCrowd = entries.length > MOST_LINES;
  if (isCrowd) {
    const created = entries.filter(({ id }) => holder.svid(id) === undefined).length;
    log.info({ created, renewed: entries.length - created }, `Creating and renewing ${name}s`);
  }
  for (const { id, spiffeId } of entries) {
    const doing = holder.svid(id) === undefined ? 'Creating' : 'Renewing';
    log[isCrowd ? 'debug' : 'info']({ entry_id: id, spiffe_id: spiffeId }, `${doing} ${name}`);
  }
}
