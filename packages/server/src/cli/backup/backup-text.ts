/** A backup in words. */
import { keysPart, tableParts, type Manifest } from '../../backup/manifest.js';

export function backupText(manifest: Manifest): string {
  const lines = [
    ['Trust domain', manifest.trust_domain],
    ['Created', manifest.created],
    ['Revision', String(manifest.revision)],
    ['Entries', rowsOf(manifest, 'entries')],
    ['Agents', rowsOf(manifest, 'nodes')],
    ['Database', `${manifest.database}, version ${manifest.schema.at(-1) ?? ''}`],
    ['Program version', manifest.version],
    ['Keys', keysPart(manifest) === undefined ? 'no' : 'yes, encrypted'],
  ];
  return lines.map(([name = '', value = '']) => `${name.padEnd(16)}: ${value}\n`).join('');
}

function rowsOf(manifest: Manifest, name: string): string {
  return String(tableParts(manifest).find(({ table }) => table === name)?.rows ?? 0);
}
