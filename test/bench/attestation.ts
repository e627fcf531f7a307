/** Nodes that prove what they are: what each kind of attestation costs, and what it costs to have them prove it again all the time. */
import { fleetRows } from './attestation/fleet-rows.js';
import { proofRows } from './attestation/proof-rows.js';
import { FULL, QUICK } from './attestation/sizes.js';
import { swtpmRows } from './attestation/swtpm-rows.js';
import type { BenchOptions } from './measuring/bench-options.js';
import type { Row } from './row.js';

const PARTS = {
  attestors: fleetRows,
  swtpm: swtpmRows,
  proofs: proofRows,
} as const;

type Part = keyof typeof PARTS;

export async function measure({ isQuick, only }: BenchOptions): Promise<Row[]> {
  const parts = Object.keys(PARTS) as Part[];
  const unknown = only.filter((name) => !parts.some((part) => part === name));
  if (unknown.length > 0) {
    throw new Error(`attestation has no part ${unknown.join(', ')}; there are: ${parts.join(', ')}`);
  }
  const sizes = isQuick ? QUICK : FULL;
  const rows: Row[] = [];
  for (const part of parts.filter((name) => only.length === 0 || only.includes(name))) {
    rows.push(...(await PARTS[part](sizes)));
  }
  return rows;
}
