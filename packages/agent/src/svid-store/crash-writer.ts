/** Writes pair after pair until it is killed: the program of versioned-folder-crash.test.ts. */
import { VersionedFolder } from './versioned-folder.js';

const [path = ''] = process.argv.slice(2);
const MOST_PAIRS = 1_000_000;
const folder = new VersionedFolder({ path, ownership: { uid: undefined, gid: undefined } });
await folder.prepare();
for (let number = 0; number < MOST_PAIRS; number += 1) {
  await folder.replace([
    { name: 'svid.pem', content: `${process.pid} ${number}`, mode: 0o644 },
    { name: 'svid_key.pem', content: `${process.pid} ${number}`, mode: 0o600 },
  ]);
  process.stdout.write(`${process.pid} ${number}\n`);
}
