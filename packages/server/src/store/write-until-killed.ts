/** A process for the crash test: writes entries as fast as it can, and names each one on standard output once it is acknowledged. */
import { writeSync } from 'node:fs';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger as log } from '@bonafide/shared/runtime/logger';
import { exampleEntry } from './example-records.js';
import { openPostgresStore } from './postgres/open-postgres-store.js';
import { openStore } from './open-store.js';

const MOST_WRITES = 100_000;

/** A file, or the url of a PostgreSQL. */
const [where = '', prefix = ''] = process.argv.slice(2);
const store = where.startsWith('postgres://')
  ? await openPostgresStore({ url: where, serverId: 'writer', clock: systemClock, log })
  : await openStore({ path: where, log });
const writers = Array.from({ length: 8 }, async (_, writer) => {
  for (let index = 0; index < MOST_WRITES; index += 1) {
    const id = `${prefix}-${writer}-${index}`;
    const revision = await store.write(async (transaction) => {
      await transaction.entries.create(exampleEntry({ path: `/${id}` }), { id, createdAt: new Date(0) });
      await transaction.entries.create(exampleEntry({ path: `/${id}/twin` }), {
        id: `${id}-twin`,
        createdAt: new Date(0),
      });
      return transaction.revision;
    });
    writeSync(1, `${revision} ${id}\n`);
  }
});
await Promise.all(writers);
