// Where the programs of this repository are.
import { dirname, join } from 'node:path';

export const root = dirname(dirname(import.meta.dirname));

export function program(name) {
  return join(root, 'packages', name, 'dist', 'main.js');
}
