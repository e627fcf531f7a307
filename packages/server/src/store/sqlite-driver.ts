/** The SQLite driver for the Node that runs: its newest major needs Node 22, and the one before it aborts on Node 24.19 and later. */
import type SqliteConnection from 'better-sqlite3';

const [major = 0] = process.versions.node.split('.').map(Number);

const { default: driver } = await (major >= 22
  ? import('better-sqlite3-node-api')
  : import('better-sqlite3'));

/** Types come from `better-sqlite3`; values, such as the class of its errors, only from here. */
export const SqliteDriver: typeof SqliteConnection = driver;
