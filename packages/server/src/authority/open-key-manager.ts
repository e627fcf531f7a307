/** The key manager that the configuration names. */
import { join } from 'node:path';
import type { ServerConfig } from '../configuration/server-config.js';
import { DiskKeyManager } from './disk-key-manager.js';
import type { KeyManager } from './key-manager.js';
import { MemoryKeyManager } from './memory-key-manager.js';

export async function openKeyManager(
  { disk, memory }: ServerConfig['plugins']['KeyManager'],
  dataFolder: string,
): Promise<KeyManager> {
  if (memory !== undefined) return new MemoryKeyManager();
  return DiskKeyManager.open(disk?.keys_path ?? join(dataFolder, 'keys.json'));
}
