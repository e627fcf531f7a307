/** Reads a backup from end to end and holds every part against the manifest, without touching a server. */
import { createHash } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { refuseNewerDump } from '../store/dump/load-dump.js';
import type { ArchiveReader } from './archive-reader.js';
import { decryptKeyFile } from './key-file-part.js';
import { keysPart, tableParts } from './manifest.js';
import { decodeRows } from './table-lines.js';

/**
 * @param passphrase opens the keys as well; undefined: only their hash is checked.
 * @throws BonafideError naming the part that is damaged, or why this release could not restore it.
 */
export async function verifyBackup(archive: ArchiveReader, passphrase?: string): Promise<void> {
  const { manifest } = archive;
  refuseNewerDump(manifest.schema);
  for (const part of tableParts(manifest)) {
    // It throws at the end when what it read is damaged.
    for await (const page of decodeRows(archive.read(part.name), part)) if (page.length === 0) break;
  }
  const keys = keysPart(manifest);
  if (keys === undefined) return;
  const hash = createHash('sha256');
  for await (const chunk of archive.read(keys.name)) hash.update(chunk);
  if (hash.digest('hex') !== keys.sha256) {
    throw new BonafideError(
      'invalid_argument',
      `the part ${keys.name} of the backup is damaged: its hash is another one`,
    );
  }
  if (passphrase !== undefined)
    await decryptKeyFile(archive.read(keys.name), manifest.trust_domain, passphrase);
}
