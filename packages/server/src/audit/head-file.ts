/** Where the chain was when it was last signed: the server notices by it when records are taken away while it does not run. */
import { join } from 'node:path';
import { readFileIfExists, writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import { z } from 'zod';
import type { ChainHead } from './audit-log.js';

const headSchema = z.strictObject({
  server_id: z.string(),
  seq: z.int().min(1),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});

export type HeadFile = z.output<typeof headSchema>;

/** Undefined when there is none, or none that can be read: whoever damages it is told of by the records that stand. */
export async function readHeadFile(path: string): Promise<HeadFile | undefined> {
  const text = (await readFileIfExists(path))?.toString('utf8');
  if (text === undefined) return undefined;
  try {
    return headSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Whose log it is. With SQLite the data folder says so: a registry that was restored has another log ID, and the server is the same. */
export async function auditServerId(
  { serverId, logId }: { readonly serverId: string; readonly logId: string },
  dataFolder: string,
): Promise<string> {
  if (serverId !== '') return serverId;
  return (await readHeadFile(headPath(dataFolder)))?.server_id ?? logId;
}

export function headPath(dataFolder: string): string {
  return join(dataFolder, 'audit-head.json');
}

export async function writeHeadFile(path: string, serverId: string, { seq, hash }: ChainHead): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify({ server_id: serverId, seq, hash })}\n`);
}
